// A ladder of fixed rows. Python pushes pictures; only the newest is drawn, once per frame, and
// only the cells that changed are touched. All values are set as text.
const COLUMNS = ["Own", "Price", "Size", "Total"];
const ORDER = [3, 0, 1, 2]; // where a column's text stands in a row of the picture

const STYLE = `
.ladder { width: 100%; font-variant-numeric: tabular-nums; contain: content; }
.ladder table { width: 100%; border-collapse: collapse; table-layout: fixed; }
.ladder caption { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.ladder th { font-weight: 400; font-size: 11px; color: var(--muted); text-align: right;
  padding: 0 6px 4px; }
.ladder td { height: 21px; line-height: 21px; padding: 0 6px; text-align: right; font-size: 12px;
  white-space: nowrap; overflow: hidden; color: var(--ink); position: relative; }
.ladder th:first-child, .ladder td:first-child { width: 19%; text-align: left; }
.ladder .asks td:nth-child(2) { color: var(--sell); }
.ladder .bids td:nth-child(2) { color: var(--buy); }
.ladder td:first-child { color: var(--accent); font-weight: 600; }
.ladder tr.own td { background: color-mix(in srgb, var(--accent) 14%, transparent); }
.ladder tr.far td { color: var(--muted); }
.ladder tr.far td:first-child { color: var(--accent); }
.ladder tr.blank.far { display: none; }
.ladder .bar { position: absolute; inset: 2px 0 2px 0; transform-origin: right;
  transform: scaleX(0); opacity: 0.2; pointer-events: none; }
.ladder .asks .bar { background: var(--sell); }
.ladder .bids .bar { background: var(--buy); }
.ladder .mid td { text-align: center; font-weight: 600; height: 28px; white-space: pre;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.ladder.doubtful tbody td, .ladder.doubtful tbody.asks td:nth-child(2),
.ladder.doubtful tbody.bids td:nth-child(2) { color: var(--muted); }
.ladder.doubtful .bar { visibility: hidden; }
.ladder .doubt { color: var(--warn); font-size: 12px; min-height: 18px; text-align: center; }
`;

function row(kind) {
  const tr = document.createElement("tr");
  tr.className = kind + " blank";
  const cells = COLUMNS.map(() => {
    const td = document.createElement("td");
    td.appendChild(document.createTextNode(""));
    tr.appendChild(td);
    return td;
  });
  const bar = document.createElement("div");
  bar.className = "bar";
  cells[2].appendChild(bar);
  return { tr, texts: cells.map((td) => td.firstChild), bar, kind, share: 0 };
}

function fill(line, values) {
  const isBlank = !values;
  line.texts.forEach((text, i) => {
    const wanted = isBlank ? "" : values[ORDER[i]];
    if (text.data !== wanted) text.data = wanted;
  });
  const share = isBlank ? 0 : values[4];
  if (share !== line.share) {
    line.share = share;
    line.bar.style.transform = `scaleX(${share})`;
  }
  const own = !isBlank && values[3] !== "" ? " own" : "";
  const name = line.kind + own + (isBlank ? " blank" : "");
  if (line.tr.className !== name) line.tr.className = name;
}

export default {
  template: '<div class="ladder"></div>',
  props: { label: String, rows: Number, far: Number },
  mounted() {
    if (!document.getElementById("ladder-style")) {
      const style = document.createElement("style");
      style.id = "ladder-style";
      style.textContent = STYLE;
      document.head.appendChild(style);
    }
    this.build();
    this.waiting = 0;
  },
  beforeUnmount() {
    if (this.waiting) cancelAnimationFrame(this.waiting);
  },
  methods: {
    build() {
      const table = document.createElement("table");
      const caption = document.createElement("caption");
      caption.textContent = this.label;
      table.appendChild(caption);
      const head = table.createTHead().insertRow();
      this.heads = COLUMNS.map((name) => {
        const th = document.createElement("th");
        th.scope = "col";
        th.textContent = name;
        head.appendChild(th);
        return th.firstChild;
      });
      const lines = (kind, count) => Array.from({ length: count }, () => row(kind));
      this.lines = {
        far_asks: lines("far", this.far),
        asks: lines("near", this.rows),
        bids: lines("near", this.rows),
        far_bids: lines("far", this.far),
      };
      const body = (kind, ...groups) => {
        const tbody = document.createElement("tbody");
        tbody.className = kind;
        for (const group of groups) for (const line of group) tbody.appendChild(line.tr);
        table.appendChild(tbody);
      };
      // Asks stand with the best one lowest, next to the mid.
      body("asks", [...this.lines.far_asks].reverse(), [...this.lines.asks].reverse());
      const middle = document.createElement("tbody");
      middle.className = "mid";
      const cell = middle.insertRow().insertCell();
      cell.colSpan = COLUMNS.length;
      this.middle = cell.appendChild(document.createTextNode(""));
      table.appendChild(middle);
      body("bids", this.lines.bids, this.lines.far_bids);
      const doubt = document.createElement("div");
      doubt.className = "doubt";
      doubt.setAttribute("role", "status");
      this.doubt = doubt.appendChild(document.createTextNode(""));
      this.$el.replaceChildren(table, doubt);
    },
    push(picture) {
      this.newest = picture;
      if (!this.waiting) this.waiting = requestAnimationFrame(() => this.draw());
    },
    draw() {
      this.waiting = 0;
      const picture = this.newest;
      for (const side of ["far_asks", "asks", "bids", "far_bids"]) {
        this.lines[side].forEach((line, i) => fill(line, picture[side][i]));
      }
      if (this.middle.data !== picture.mid) this.middle.data = picture.mid;
      const [quote, base] = picture.units;
      ["", quote, base, base].forEach((unit, i) => {
        const text = unit ? `${COLUMNS[i]} ${unit}` : COLUMNS[i];
        if (this.heads[i].data !== text) this.heads[i].data = text;
      });
      // Seconds tick in the note: a screen reader hears it when the state changes, not each second.
      const quiet = picture.note.replace(/[0-9]+ s ago/, "a while ago");
      if (this.doubt.data !== quiet) this.doubt.data = quiet;
      this.$el.classList.toggle("doubtful", picture.note !== "");
    },
  },
};
