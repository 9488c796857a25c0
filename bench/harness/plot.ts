/** Plots as SVG text, with nothing but what a figure needs. Readable on light and dark pages. */

const FONT = 'font-family="system-ui, sans-serif" font-size="13"'
const BAR_HEIGHT = 20
const BAR_GAP = 8
const LABEL_WIDTH = 230
const PLOT_WIDTH = 430
const VALUE_WIDTH = 100
const TITLE_HEIGHT = 34
const LINES_HEIGHT = 260
const AXIS_HEIGHT = 44
const COLORS = ['#2b7de9', '#e98a2b', '#4aa564', '#b05cc6', '#8a8f98'] as const

export interface Bar {
  readonly label: string
  readonly value: number
  /** Ours stand out. */
  readonly isOurs: boolean
}

export interface TimePlot {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly lines: readonly Line[]
}

/** Lines over linear axes from zero, such as what happens over time; what they are called stands beside them, from the top. */
export function plotTimes({ title, xLabel, yLabel, lines }: TimePlot): string {
  const points = lines.flatMap((line) => line.points)
  const [bottom, right] = [TITLE_HEIGHT + LINES_HEIGHT, LABEL_WIDTH + PLOT_WIDTH - 60]
  const x = linearScale(Math.max(...points.map((point) => point.x)), { from: 60, to: right })
  const y = linearScale(Math.max(...points.map((point) => point.y)), { from: bottom, to: TITLE_HEIGHT + 10 })
  const grid = [
    ...y.ticks.map((tick) => [
      `<line x1="60" x2="${right}" y1="${round(y.at(tick))}" y2="${round(y.at(tick))}" stroke="${COLORS[4]}" stroke-opacity="0.3"/>`,
      text({ x: 54, y: y.at(tick) + 5, anchor: 'end' }, format(tick)),
    ]),
    ...x.ticks.map((tick) => text({ x: x.at(tick), y: bottom + 18, anchor: 'middle' }, format(tick))),
    text({ x: (60 + right) / 2, y: bottom + 38, anchor: 'middle' }, `${xLabel}; ${yLabel}`),
  ].flat()
  const drawn = lines.map((line, index) => {
    const path = line.points.map((point) => `${round(x.at(point.x))},${round(y.at(point.y))}`).join(' ')
    return `<polyline points="${path}" fill="none" stroke="${COLORS[index % COLORS.length]!}" stroke-width="1.5"/>`
  })
  const labels = lines.map(({ label }, index) =>
    text(
      { x: right + 10, y: TITLE_HEIGHT + 20 * (index + 1), anchor: 'start', color: COLORS[index % COLORS.length]! },
      label,
    ),
  )
  return svg({ title, height: bottom + AXIS_HEIGHT }, [...grid, ...drawn, ...labels])
}

/** From zero, with some four ticks. */
function linearScale(
  most: number,
  { from, to }: { readonly from: number; readonly to: number },
): { at: (value: number) => number; ticks: number[] } {
  const size = 10 ** Math.floor(Math.log10(most))
  const step = [0.25, 0.5, 1, 2].map((part) => part * size).find((each) => most / each <= 5) ?? 2 * size
  return {
    at: (value) => from + (value / most) * (to - from),
    ticks: Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step),
  }
}

/** Horizontal bars from zero, in the order given. */
export function plotBars({ title, unit, bars }: { title: string; unit: string; bars: readonly Bar[] }): string {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const rows = bars.map(({ label, value, isOurs }, index) => {
    const y = TITLE_HEIGHT + index * (BAR_HEIGHT + BAR_GAP)
    const width = (value / most) * PLOT_WIDTH
    const middle = y + BAR_HEIGHT / 2 + 5
    return [
      text({ x: LABEL_WIDTH - 8, y: middle, anchor: 'end' }, label),
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${round(width)}" height="${BAR_HEIGHT}" fill="${isOurs ? COLORS[0] : COLORS[4]}"/>`,
      text({ x: LABEL_WIDTH + width + 6, y: middle, anchor: 'start' }, `${format(value)} ${unit}`),
    ].join('\n')
  })
  const height = TITLE_HEIGHT + bars.length * (BAR_HEIGHT + BAR_GAP)
  return svg({ title, height }, rows)
}

export interface Line {
  readonly label: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** Lines over a logarithmic x; y too, because peers differ by orders of magnitude. */
export function plotLines(plot: { title: string; xLabel: string; unit: string; lines: readonly Line[] }): string {
  const points = plot.lines.flatMap((line) => line.points)
  const x = scaleOf(
    points.map((point) => point.x),
    { from: 60, to: LABEL_WIDTH + PLOT_WIDTH },
  )
  const bottom = TITLE_HEIGHT + LINES_HEIGHT
  const y = scaleOf(
    points.map((point) => point.y),
    { from: bottom, to: TITLE_HEIGHT + 10 },
  )
  const grid = [
    ...y.ticks.map((tick) => [
      `<line x1="60" x2="${LABEL_WIDTH + PLOT_WIDTH}" y1="${round(y.at(tick))}" y2="${round(y.at(tick))}" stroke="${COLORS[4]}" stroke-opacity="0.3"/>`,
      text({ x: 54, y: y.at(tick) + 5, anchor: 'end' }, format(tick)),
    ]),
    ...x.ticks.map((tick) => text({ x: x.at(tick), y: bottom + 18, anchor: 'middle' }, format(tick))),
    text({ x: (LABEL_WIDTH + PLOT_WIDTH) / 2, y: bottom + 38, anchor: 'middle' }, `${plot.xLabel} (${plot.unit})`),
  ].flat()
  const lines = plot.lines.flatMap((line, index) => {
    const color = COLORS[index % COLORS.length]!
    const path = line.points.map((point) => `${round(x.at(point.x))},${round(y.at(point.y))}`).join(' ')
    const last = line.points.at(-1)!
    return [
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...line.points.map(
        (point) => `<circle cx="${round(x.at(point.x))}" cy="${round(y.at(point.y))}" r="3" fill="${color}"/>`,
      ),
      text({ x: x.at(last.x) + 8, y: y.at(last.y) + 5, anchor: 'start', color }, line.label),
    ]
  })
  return svg({ title: plot.title, height: bottom + AXIS_HEIGHT }, [...grid, ...lines])
}

/** Powers of ten around the values. */
function scaleOf(
  values: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
): { at: (value: number) => number; ticks: number[] } {
  const first = Math.floor(Math.log10(Math.min(...values)))
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))))
  return {
    at: (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from),
    ticks: Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index)),
  }
}

function svg({ title, height }: { readonly title: string; readonly height: number }, body: readonly string[]): string {
  const width = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT}>`,
    // a page in dark colours shows the same file
    '<style>text{fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#d0d7de}}</style>',
    `<text x="8" y="20" font-weight="600">${escapeText(title)}</text>`,
    ...body,
    '</svg>\n',
  ].join('\n')
}

function text(
  at: { readonly x: number; readonly y: number; readonly anchor: 'start' | 'middle' | 'end'; readonly color?: string },
  value: string,
): string {
  const color = at.color === undefined ? '' : ` style="fill:${at.color}"`
  return `<text x="${round(at.x)}" y="${round(at.y)}" text-anchor="${at.anchor}"${color}>${escapeText(value)}</text>`
}

function escapeText(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function format(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
