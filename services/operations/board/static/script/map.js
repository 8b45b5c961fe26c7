// Map: the regions where they are, and how well the links between them are.

import { place } from './colours.js'
import { drawn, element, find, keep, parts, say, set } from './element.js'
import { arc, LABEL, layout, segments } from './layout.js'
import { pairs, state, summary, WORDS } from './links.js'
import { age, plural, rate } from './words.js'
import { atlas, land } from './world.js'

const SILENT = 3
const RING = 11
const MOST_SERVERS = 9
const CROWDED = 4

export const total = (region) => Object.values(region.rates).reduce((sum, one) => sum + one, 0)
export const silent = (region) => region.measured_ago === null || region.measured_ago > SILENT

export function map() {
  const svg = find('map')
  const [ground, wires, tags, nodes] = ['ground', 'wires', 'tags', 'nodes'].map((name) => drawn('g', { class: name }))
  const dots = drawn('path')
  ground.append(dots)
  svg.append(ground, wires, tags, nodes)
  const where = atlas(svg.dataset.places)
  let box = { width: 0, height: 0 }
  let placed = ''
  let plan = null
  let last = null
  let grid = ''

  new ResizeObserver(([{ contentRect }]) => {
    box = { width: Math.round(contentRect.width), height: Math.round(contentRect.height) }
    set(svg, 'viewBox', `0 0 ${box.width} ${box.height}`)
    if (last) show(last)
  }).observe(svg)

  function lay(regions) {
    const places = JSON.stringify([box, regions.map((region) => [region.name, region.time_zone])])
    if (places === placed || !box.width) return
    placed = places
    plan = layout(regions, where, box.width, box.height)
    set(ground, 'transform', `translate(${plan.land.x} ${plan.land.y})`)
    set(dots, 'd', land(plan.land.width))
    set(dots, 'stroke-width', (plan.land.width / 250).toFixed(2))
  }

  function show(picture) {
    last = picture
    const { regions, links } = picture
    lay(regions)
    if (!plan) return
    const lines = pairs(links).filter((link) => plan.at.has(link.from) && plan.at.has(link.to))
    const taken = [...plan.at.values()].map((at) => [...at, LABEL.below])
    const shaped = lines.map((link) => {
      const shape = arc(...link.name.split(' ').map((name) => plan.at.get(name)), taken)
      taken.push([...shape.middle, 0])
      return { ...link, ...shape }
    })
    keep(wires, shaped, (link) => link.name, wire, fillWire)
    const terse = box.width < 480 || regions.length > CROWDED
    const tagged = shaped.filter((link) => link.state !== 'fresh' || !terse)
    keep(tags, tagged, (link) => link.name, tag, (node, link) => fillTag(node, link, box))
    keep(nodes, regions, (region) => region.name, region, (node, one) => fillRegion(node, one, plan.at.get(one.name), picture))
    const sentence = summary(links)
    say(find('links-summary'), sentence)
    set(svg, 'aria-label', `${plural(regions.length, 'region', 'regions')}. ${sentence}`)
    const key = regions.map((one) => one.name).join()
    if (key !== grid) matrix(regions)
    grid = key
    if (find('links').open) fillMatrix(links)
  }

  find('links').addEventListener('toggle', () => last && fillMatrix(last.links))
  return show
}

function wire() {
  const path = drawn('path', { class: 'wire' })
  const node = drawn('g', {}, path)
  parts.set(node, { path })
  return node
}

function fillWire(node, link) {
  set(node, 'data-state', link.state)
  set(parts.get(node).path, 'd', link.path)
}

function tag() {
  const [back, text, cross] = [drawn('rect', { rx: 9, height: 18, y: -9 }), drawn('text', { 'text-anchor': 'middle', dy: '.34em' }), drawn('path')]
  const node = drawn('g', { class: 'tag' }, back, cross, text)
  parts.set(node, { back, text, cross })
  return node
}

// A word on a link: late ones have a clock's hand, cut ones a cross, so that colour is never alone.
const SIGNS = { fresh: '', late: 'M0-4V0L3 2M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0', cut: 'M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5' }

function fillTag(node, link, box) {
  const { back, text, cross } = parts.get(node)
  const label = link.state !== 'fresh' ? `${WORDS[link.state]}${link.staleness === null ? '' : ` ${age(link.staleness)}`}` : age(link.staleness)
  const sign = link.state === 'fresh' ? 0 : 14
  const wide = Math.round(label.length * 5.7 + 16 + sign)
  const x = Math.max(wide / 2 + 2, Math.min(box.width - wide / 2 - 2, link.middle[0]))
  set(node, 'data-state', link.state)
  set(node, 'transform', `translate(${x} ${Math.max(11, link.middle[1])})`)
  set(back, 'x', -wide / 2)
  set(back, 'width', wide)
  set(cross, 'd', SIGNS[link.state])
  set(cross, 'transform', `translate(${-wide / 2 + 13} 0)`)
  set(text, 'x', sign / 2)
  say(text, label)
}

function region() {
  const line = (name, y) => drawn('text', { class: name, y, 'text-anchor': 'middle' })
  const [halo, ring, dot] = [drawn('circle', { class: 'halo', r: RING + 4 }), drawn('g', { class: 'ring' }), drawn('circle', { class: 'dot', r: 5 })]
  const [name, flow, servers, dead] = [line('name', 27), line('flow', 41), line('servers', 54), line('dead', -20)]
  const node = drawn('g', { class: 'node' }, halo, ring, dot, name, flow, servers, dead)
  parts.set(node, { ring, name, flow, servers, dead })
  return node
}

function fillRegion(node, one, [x, y], picture) {
  const { ring, name, flow, servers, dead } = parts.get(node)
  const quiet = silent(one)
  set(node, 'transform', `translate(${x} ${y})`)
  set(node, 'data-region', place(one.name))
  set(node, 'data-silent', quiet ? '' : null)
  set(node, 'data-short', quiet || one.nodes_up < one.nodes ? '' : null)
  const shown = segments(Math.min(one.nodes || 1, MOST_SERVERS), RING).map((d, index) => ({ d, index, up: index < one.nodes_up }))
  keep(ring, shown, (part) => part.index, () => drawn('path'), (path, part) => {
    set(path, 'd', part.d)
    set(path, 'data-up', part.up ? '' : null)
  })
  say(name, one.name === picture.region ? `${one.name} · here` : one.name)
  say(flow, quiet ? (one.measured_ago === null ? 'no report yet' : `reported ${age(one.measured_ago)} ago`) : `${rate(total(one))}/s`)
  // How many servers a silent region had says nothing of how many it has.
  say(servers, quiet ? 'servers not known' : `${one.nodes_up}/${one.nodes} ${one.nodes === 1 ? 'server' : 'servers'}`)
  say(dead, one.dead_letters ? plural(one.dead_letters, 'dead letter', 'dead letters') : '')
}

function matrix(regions) {
  const names = regions.map((one) => one.name)
  const head = element('tr', {}, element('td'), ...names.map((name) => element('th', { scope: 'col' }, `from ${name}`)))
  const rows = names.map((from) =>
    element('tr', {}, element('th', { scope: 'row' }, `read in ${from}`),
      ...names.map((to) => element('td', { 'data-link': `${from} ${to}` }, from === to ? '·' : '–'))),
  )
  find('links-table').replaceChildren(element('thead', {}, head), element('tbody', {}, ...rows))
}

function fillMatrix(links) {
  const cells = new Map([...find('links-table').querySelectorAll('[data-link]')].map((cell) => [cell.dataset.link, cell]))
  for (const link of links) {
    const cell = cells.get(`${link.from} ${link.to}`)
    if (!cell) continue
    const now = state(link.staleness)
    set(cell, 'data-state', now)
    say(cell, now === 'fresh' ? age(link.staleness) : link.staleness === null ? 'not known' : `${WORDS[now]}, ${age(link.staleness)}`)
  }
}
