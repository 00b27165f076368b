// Theme switch and log-out. It also tells the server which theme is shown and whether the page is
// seen. When the socket is lost it says so over the page, which the server then no longer can, and
// leaves for the login page if the login has ended.
const KEY = "trading-dashboard-theme";
const LOOK_MS = 500;
const ASK_EVERY = 4;

export default {
  template: `
    <div class="top-tools"><button type="button" class="tool" :aria-pressed="String(isDark)" aria-label="Dark theme" title="Dark or light" @click="toggle">
      <span class="theme-sign" aria-hidden="true"></span>
    </button>
    <button type="button" class="tool tool-word" @click="leave">Log out</button>
    <div class="problem lost" role="alert"><span v-if="isLost">The dashboard no longer answers; it may have ended. Figures on this page are old. Trying again; trading-system dashboard starts it.</span></div></div>`,
  data: () => ({ isDark: true, isLost: false, looks: 0 }),
  mounted() {
    this.media = window.matchMedia("(prefers-color-scheme: dark)");
    this.follow = () => this.$nextTick(() => this.apply());
    this.seen = () => this.$emit("seen", { visible: !document.hidden });
    this.media.addEventListener("change", this.follow);
    document.addEventListener("visibilitychange", this.seen);
    this.looking = window.setInterval(() => this.look(), LOOK_MS);
    this.apply();
    if (document.hidden) this.seen();
  },
  unmounted() {
    window.clearInterval(this.looking);
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
    async leave() {
      await fetch("/logout", { method: "POST" }).catch(() => null);
      window.location.assign("/login");
    },
    async look() {
      const isConnected = !window.socket || window.socket.connected;
      this.looks = isConnected ? 0 : this.looks + 1;
      // A short gap, as when the network changes, is not worth a word.
      this.isLost = this.looks > 1;
      document.body.classList.toggle("is-lost", this.isLost);
      if (document.hidden || !this.looks || this.looks % ASK_EVERY) return;
      const answer = await fetch("/dashboard.css", { method: "GET", cache: "no-store" }).catch(() => null);
      if (answer && answer.status === 401) window.location.assign("/login");
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
