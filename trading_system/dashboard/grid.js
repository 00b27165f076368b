// A table of texts. Cells are written as text nodes, never as HTML.
export default {
  template: `
    <div class="grid-wrap" :class="{ 'grid-tall': tall }" role="region" tabindex="0" :aria-label="caption">
      <table class="grid" :style="{ minWidth: width }">
        <caption class="sr-only">{{ caption }}</caption>
        <thead><tr>
          <th v-for="column in columns" scope="col" :class="column.align">{{ column.label }}<span v-if="column.unit" class="unit"> {{ column.unit }}</span></th>
        </tr></thead>
        <tbody>
          <tr v-for="row in rows" :key="row.key" :data-kind="row.kind">
            <template v-for="(cell, i) in row.cells" :key="i">
              <td :class="columns[i].align" :data-kind="cell.kind || null" :title="cell.title || null">
                <button v-if="cell.action" type="button" class="link" @click="$emit('pick', { key: row.key })">{{ cell.text }}</button>
                <span v-else-if="cell.bar != null" class="cell-bar"><span class="cell-bar-fill" :style="{ width: cell.bar + '%' }"></span><span class="cell-bar-text">{{ cell.text }}</span></span>
                <template v-else>{{ cell.text }}</template>
              </td>
            </template>
          </tr>
          <tr v-if="rows.length === 0"><td :colspan="columns.length" class="empty">{{ empty }}</td></tr>
        </tbody>
      </table>
    </div>`,
  props: { columns: Array, rows: Array, caption: String, empty: String, width: String, tall: Boolean },
};
