// Plot: one small chart of uPlot, a line per region, each with its name at its end.

import { palette } from './colours.js'
import { STEP, SIZE } from './past.js'
import { count, rate } from './words.js'

const HEIGHT = 74
const NAMES = 22
const APART = 10
const SPAN = STEP * (SIZE - 1)
const plots = new Set()

let colours = null
export const paint = () => (colours ??= palette())

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  colours = null
  for (const plot of plots) plot.redraw(false)
})

// Numbers beside the grid: short, whatever their size.
const marks = (u, splits) => splits.map((value) => (value >= 1000 ? count(value).replace(/,000$/, 'k') : rate(value).replace(/\.0$|(\.\d)0$/, '$1')))

export function plot(host, regions, pointed, height = HEIGHT) {
  const options = {
    width: Math.max(80, host.clientWidth),
    height,
    padding: [6, NAMES, 7, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: { key: 'board' } },
    scales: {
      x: { time: true, range: (u, min, max) => [max - SPAN, max] },
      y: { range: (u, min, max) => [0, Math.max(max * 1.15, 0.1)] },
    },
    axes: [
      { show: false },
      {
        size: 30,
        gap: 4,
        space: 26,
        font: `10px ${paint().font}`,
        stroke: () => paint().quiet,
        grid: { stroke: () => paint().line, width: 1 },
        ticks: { show: false },
        values: marks,
      },
    ],
    series: [{}, ...regions.map((name) => ({ label: name, width: 1.5, points: { show: false }, stroke: () => paint().of(name) }))],
    hooks: { draw: [(u) => label(u, regions)], setCursor: [(u) => pointed(u.cursor.idx ?? null)] },
  }
  const chart = new uPlot(options, [[], ...regions.map(() => [])], host)
  const fit = new ResizeObserver(([{ contentRect }]) => {
    const width = Math.max(80, Math.floor(contentRect.width))
    if (width !== chart.width) chart.setSize({ width, height })
  })
  fit.observe(host)
  plots.add(chart)
  return {
    show: (table) => chart.setData(table),
    end() {
      fit.disconnect()
      plots.delete(chart)
      chart.destroy()
    },
  }
}

// Names at the lines' ends, pushed apart where they would touch: which line is whose needs no colour.
function label(u, regions) {
  const ratio = devicePixelRatio
  const ends = regions
    .map((name, index) => ({ name, value: u.data[index + 1].findLast((value) => value !== null) }))
    .filter((end) => end.value !== undefined)
    .map((end) => ({ ...end, y: u.valToPos(end.value, 'y', true) }))
    .sort((a, b) => a.y - b.y)
  const apart = APART * ratio
  ends.forEach((end, index) => index && (end.y = Math.max(end.y, ends[index - 1].y + apart)))
  const bottom = u.bbox.top + u.bbox.height
  for (let index = ends.length - 1; index >= 0; index -= 1) {
    ends[index].y = Math.min(ends[index].y, bottom - (ends.length - 1 - index) * apart)
  }
  const { ctx } = u
  ctx.save()
  ctx.font = `600 ${10 * ratio}px ${paint().font}`
  ctx.textBaseline = 'middle'
  ctx.textAlign = 'left'
  for (const { name, y } of ends) {
    ctx.fillStyle = paint().of(name)
    ctx.fillText(name.slice(0, 3), u.bbox.left + u.bbox.width + 4 * ratio, y)
  }
  ctx.restore()
}
