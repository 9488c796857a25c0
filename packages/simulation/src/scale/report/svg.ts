/** One line of a plot. */
export interface Series {
  readonly name: string
  readonly color: string
  readonly values: readonly number[]
}

export interface PlotOptions {
  readonly title: string
  readonly unit: string
  /** Seconds, one for each value. */
  readonly seconds: readonly number[]
  readonly series: readonly Series[]
  /** Where something began. */
  readonly marks: readonly { readonly seconds: number; readonly text: string }[]
}

const WIDTH = 900
const HEIGHT = 240
const LEFT = 70
const RIGHT = 10
const TOP = 34
const BOTTOM = 24
/** More points than pixels say nothing. */
const POINTS_MAX = 600
const TICKS = 4

/** A plot over time as SVG: lines from zero up, a legend, and what happened when. */
export function plot(options: PlotOptions): string {
  const { title, unit, seconds, series, marks } = options
  const end = Math.max(1, seconds.at(-1) ?? 1)
  const top = niceCeiling(Math.max(0, ...series.flatMap(({ values }) => [maxOf(values)])))
  const x = (second: number): number => LEFT + (second / end) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM)
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => (top * i) / TICKS)
  const parts = [
    ...ticks.map(
      (value) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" class="grid"/>` +
        `<text x="${LEFT - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${formatNumber(value)}</text>`,
    ),
    ...marks.map(
      ({ seconds: at, text }, i) =>
        `<line x1="${x(at).toFixed(1)}" x2="${x(at).toFixed(1)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" class="mark"><title>${escapeText(text)}</title></line>` +
        `<text x="${(x(at) + 3).toFixed(1)}" y="${TOP + 10 + (i % 3) * 11}" class="note">${escapeText(text)}</text>`,
    ),
    ...series.map(
      ({ color, values }) =>
        `<polyline fill="none" stroke="${color}" stroke-width="1.6" points="${thin(seconds, values)
          .map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`)
          .join(' ')}"/>`,
    ),
    ...series.map(
      ({ name, color }, i) =>
        `<rect x="${LEFT + 250 + i * 150}" y="8" width="10" height="10" fill="${color}"/><text x="${LEFT + 264 + i * 150}" y="17">${escapeText(name)}</text>`,
    ),
    `<text x="${LEFT}" y="17" class="title">${escapeText(title)}${unit === '' ? '' : ` (${escapeText(unit)})`}</text>`,
    `<text x="${LEFT}" y="${HEIGHT - 6}">0 s</text><text x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end">${formatNumber(end)} s</text>`,
  ]
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(title)}">${parts.join('')}</svg>`
}

function maxOf(values: readonly number[]): number {
  return values.reduce((max, value) => Math.max(max, value), 0)
}

/** The highest of each group of neighbours, so that peaks stay. */
function thin(seconds: readonly number[], values: readonly number[]): (readonly [number, number])[] {
  const group = Math.max(1, Math.ceil(values.length / POINTS_MAX))
  const points: (readonly [number, number])[] = []
  for (let from = 0; from < values.length; from += group) {
    points.push([seconds[from] ?? 0, maxOf(values.slice(from, from + group))])
  }
  return points
}

/** 1, 2 or 5 times a power of ten. */
function niceCeiling(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value
}

/** Short and readable: 12,300 or 0.42. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}

export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
