import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { plotBars, plotLines } from './plot.ts'

describe('plots', () => {
  it('draw bars in proportion, ours in another colour', () => {
    const bars = [
      { label: 'ours', value: 50, isOurs: true },
      { label: 'theirs & others', value: 100, isOurs: false },
    ]
    const svg = plotBars({ title: 'Cost', unit: 'ns', bars })
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"[^>]*fill="([^"]+)"/g)].map(([, width, fill]) => [
      Number(width),
      fill,
    ])
    assert.deepEqual(
      widths.map(([width]) => width),
      [215, 430],
    )
    assert.notEqual(widths[0]![1], widths[1]![1])
    assert.match(svg, /theirs &amp; others/)
    assert.match(svg, />50 ns</)
  })

  it('draw lines over powers of ten', () => {
    const line = (label: string, ys: readonly number[]) => ({
      label,
      points: ys.map((y, index) => ({ x: 10 ** (index + 1), y })),
    })
    const lines = [line('flat', [100, 100, 100]), line('grows', [100, 1_000, 10_000])]
    const svg = plotLines({ title: 'Growth', xLabel: 'policies', unit: 'ns', lines })
    const [flat, grows] = [...svg.matchAll(/points="([^"]+)"/g)].map(([, points]) =>
      points!.split(' ').map((point) => Number(point.split(',')[1])),
    )
    assert.equal(new Set(flat).size, 1)
    assert.equal(Math.round((grows![0]! - grows![1]!) * 10), Math.round((grows![1]! - grows![2]!) * 10))
  })
})
