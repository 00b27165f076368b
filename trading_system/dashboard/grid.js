// A table of texts. Cells are written as text nodes, never as HTML. The roles are said again
// because a stacked table (on a phone) loses those of its elements.
export default {
  template: `
    <div class="grid-wrap" :class="{ 'grid-tall': tall }" role="group" tabindex="0" :aria-label="caption">
      <table class="grid" :class="{ stacks, flows }" :style="{ '--width': width }" role="table" :aria-label="caption">
        <thead role="rowgroup"><tr role="row">
          <th v-for="column in columns" scope="col" role="columnheader" :class="[column.align, { minor: column.minor, wide: column.wide, sole: column.wide && isSole }]">{{ column.label }}<span v-if="column.unit" class="unit"> {{ column.unit }}</span></th>
        </tr></thead>
        <tbody role="rowgroup">
          <tr v-for="row in rows" :key="row.key" role="row" :data-kind="row.kind || null">
            <td v-for="(cell, i) in row.cells" :key="i" role="cell" :class="[columns[i].align, { minor: columns[i].minor, wide: columns[i].wide, sole: columns[i].wide && isSole, void: cell.text === '' }]" :data-kind="cell.kind || null" :title="cell.title || null">
              <span v-if="stacks" class="stack-label" aria-hidden="true">{{ columns[i].label }} {{ columns[i].unit }}</span>
              <button v-if="cell.action" type="button" class="link" @click="$emit('pick', { key: row.key })">{{ cell.text }}</button>
              <span v-else-if="cell.bar != null" class="cell-bar"><span class="cell-bar-track"><span class="cell-bar-fill" :style="{ width: cell.bar + '%' }"></span></span><span class="cell-bar-text">{{ cell.text }}</span></span>
              <span v-else>{{ cell.text }}</span>
            </td>
          </tr>
          <tr v-if="rows.length === 0" role="row"><td :colspan="columns.length" class="empty" role="cell">{{ empty }}</td></tr>
        </tbody>
      </table>
    </div>`,
  props: { columns: Array, rows: Array, caption: String, empty: String, width: String, tall: Boolean, stacks: Boolean, flows: Boolean },
  computed: { isSole() { return this.columns.filter((column) => column.wide).length === 1; } },
};
