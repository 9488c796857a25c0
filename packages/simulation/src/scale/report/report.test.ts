import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { escapeText, formatNumber, plot } from './svg.ts'

describe('plots', () => {
  it('reach from zero to the highest value, keep peaks, and escape words', () => {
    const values = Array.from({ length: 5_000 }, (_, i) => (i === 4_321 ? 90 : 10))
    const svg = plot({
      title: 'a < b',
      unit: 'x',
      seconds: values.map((_, i) => i),
      series: [{ name: 's', color: '#000', values }],
      marks: [{ seconds: 10, text: '"start"' }],
    })
    assert.match(svg, /a &lt; b \(x\)/)
    assert.match(svg, /&quot;start&quot;/)
    const points = /points="([^"]*)"/
      .exec(svg)![1]!
      .split(' ')
      .map((point) => point.split(',').map(Number))
    assert.ok(points.length <= 600)
    // 240 high, 34 free above, 24 below; the scale ends at 100
    assert.equal(Math.min(...points.map(([, y]) => y!)).toFixed(1), (216 - 0.9 * 182).toFixed(1))
  })

  it('write numbers for people', () => {
    assert.deepEqual([12_345.6, 0.01234, 99.96, Number.NaN].map(formatNumber), ['12,346', '0.0123', '100', '–'])
    assert.equal(escapeText('<&>"'), '&lt;&amp;&gt;&quot;')
  })
})
