// Layout: where the map's regions stand, as near to their cities as their labels allow.

import { ASPECT, project } from './world.js'

export const LABEL = { width: 84, above: 18, below: 56 }
const ROUNDS = 120
const CLEAR = 24

// Places of regions in pixels: { name: [x, y] }, with the size of the land behind them.
export function layout(regions, where, width, height) {
  const scale = Math.min(width, height * ASPECT)
  const land = { width: scale, height: scale / ASPECT, x: (width - scale) / 2, y: (height - scale / ASPECT) / 2 }
  const points = regions.map((region, index) => {
    const [x, y] = project(where(region.time_zone))
    // Two regions of one city part in a stated direction, so that the picture is the same each time.
    return { name: region.name, x: land.x + x * land.width + index * 0.5, y: land.y + y * land.height + index * 0.25 }
  })
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let a = 0; a < points.length; a += 1) for (let b = a + 1; b < points.length; b += 1) part(points[a], points[b])
    for (const point of points) bound(point, width, height)
  }
  return { land, at: new Map(points.map(({ name, x, y }) => [name, [Math.round(x), Math.round(y)]])) }
}

function part(a, b) {
  const across = LABEL.width - Math.abs(a.x - b.x)
  const down = LABEL.above + LABEL.below - Math.abs(a.y - b.y)
  if (across <= 0 || down <= 0) return
  const axis = across <= down ? 'x' : 'y'
  const push = (Math.min(across, down) / 2 + 0.5) * (a[axis] <= b[axis] ? -1 : 1)
  a[axis] += push
  b[axis] -= push
}

function bound(point, width, height) {
  point.x = Math.max(LABEL.width / 2, Math.min(width - LABEL.width / 2, point.x))
  point.y = Math.max(LABEL.above, Math.min(height - LABEL.below, point.y))
}

// The arc between two places, and the point on it for its label: the middle, or beside it where `taken` stands there,
// a list of [x, y, how far down]. Long arcs rise higher, as a flight's do.
export function arc([x1, y1], [x2, y2], taken) {
  const rise = Math.min(60, Math.hypot(x2 - x1, y2 - y1) * 0.2)
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2 - rise * 2]
  const along = (t) => [
    (1 - t) ** 2 * x1 + 2 * t * (1 - t) * x + t ** 2 * x2,
    (1 - t) ** 2 * y1 + 2 * t * (1 - t) * y + t ** 2 * y2,
  ].map(Math.round)
  const room = ([px, py]) => Math.min(CLEAR, ...taken.map(([ox, oy, down]) => Math.hypot((px - ox) / 3, py - Math.max(oy, Math.min(py, oy + down)))))
  const middle = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8].map(along).reduce((best, one) => (room(one) > room(best) ? one : best))
  return { path: `M${x1} ${y1}Q${x} ${Math.round(y)} ${x2} ${y2}`, middle }
}

// The ring around a region: one segment per server.
export function segments(servers, radius) {
  const gap = servers > 1 ? Math.min(0.5, 1.6 / servers) : 0
  return Array.from({ length: servers }, (_, index) => {
    if (servers === 1) return `M0 ${-radius}A${radius} ${radius} 0 1 1 -.01 ${-radius}`
    const turn = (share) => (share * 2 * Math.PI) / servers - Math.PI / 2
    const point = (angle) => `${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`
    const [from, to] = [turn(index) + gap / 2, turn(index + 1) - gap / 2]
    return `M${point(from)}A${radius} ${radius} 0 0 1 ${point(to)}`
  })
}
