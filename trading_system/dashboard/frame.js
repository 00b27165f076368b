// The theme switch. It also tells the server which theme is shown and whether the page is seen.
const KEY = "trading-dashboard-theme";

export default {
  template: `
    <button type="button" class="tool" :aria-pressed="String(isDark)" aria-label="Dark theme" title="Dark or light" @click="toggle">
      <span class="theme-sign" aria-hidden="true"></span>
    </button>`,
  data: () => ({ isDark: true }),
  mounted() {
    this.media = window.matchMedia("(prefers-color-scheme: dark)");
    this.follow = () => this.$nextTick(() => this.apply());
    this.seen = () => this.$emit("seen", { visible: !document.hidden });
    this.media.addEventListener("change", this.follow);
    document.addEventListener("visibilitychange", this.seen);
    this.apply();
    if (document.hidden) this.seen();
  },
  unmounted() {
    this.media.removeEventListener("change", this.follow);
    document.removeEventListener("visibilitychange", this.seen);
  },
  methods: {
    apply() {
      const stored = window.localStorage.getItem(KEY);
      this.isDark = stored === null ? this.media.matches : stored === "dark";
      Quasar.Dark.set(this.isDark);
      this.$emit("theme", { dark: this.isDark });
    },
    toggle() {
      const next = this.isDark ? "light" : "dark";
      // Back at what the system says: follow it again.
      if ((next === "dark") === this.media.matches) window.localStorage.removeItem(KEY);
      else window.localStorage.setItem(KEY, next);
      this.apply();
    },
  },
};
