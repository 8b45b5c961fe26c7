// Services: what runs in which region, since when, how often it was restarted, and what is missing.

import { place } from './colours.js'
import { element, find, keep, parts, say, set, show } from './element.js'
import { ago, clock, count, plural } from './words.js'

const WORDS = { missing: 'not running', stopped: 'stopped', unknown: 'not known' }
const ORDER = { missing: 0, running: 1, unknown: 2, stopped: 3 }

// How many services there should be over all regions, how many run, and their restarts.
export function counted(services) {
  const wanted = services.filter((one) => one.state !== 'stopped')
  const most = services.reduce((found, one) => (one.restarts > (found?.restarts ?? 0) ? one : found), null)
  return {
    all: wanted.length,
    running: wanted.filter((one) => one.state === 'running').length,
    unknown: wanted.filter((one) => one.state === 'unknown').length,
    restarts: services.reduce((sum, one) => sum + one.restarts, 0),
    most: most ? `${most.name} in ${most.region}: ${count(most.restarts)}` : 'none',
  }
}

export function services() {
  let columns = ''
  let last = null
  find('instances').addEventListener('toggle', () => last && instances(last.services))

  return (picture) => {
    last = picture
    const seen = picture.services.some((one) => one.reported)
    show(find('services-scroll'), seen)
    show(find('services-empty'), !seen)
    show(find('instances'), picture.services.some((one) => one.instances.length))
    const regions = picture.regions.map((one) => one.name)
    if (regions.join() !== columns) head((columns = regions.join(), regions))
    const rows = [...new Set(picture.services.map((one) => one.name))].map((name) => {
      const found = picture.services.filter((one) => one.name === name)
      return { name, found, first: Math.min(...found.map((one) => ORDER[one.state])) }
    })
    rows.sort((a, b) => a.first - b.first || a.name.localeCompare(b.name))
    keep(find('services-table').tBodies[0], rows, (one) => one.name, () => row(regions), fill)
    if (find('instances').open) instances(picture.services)
  }
}

function head(regions) {
  const cells = regions.map((name) => element('th', { scope: 'col' }, element('span', { class: 'region', 'data-region': place(name) }, name)))
  find('services-table').replaceChildren(element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'Service'), ...cells)), element('tbody'))
}

function row(regions) {
  const name = element('th', { scope: 'row' })
  const cells = new Map(regions.map((region) => {
    const [word, more] = [element('span', { class: 'word' }), element('span', { class: 'more' })]
    const cell = element('td', {}, word, ' ', more)
    parts.set(cell, { word, more })
    return [region, cell]
  }))
  const node = element('tr', {}, name, ...cells.values())
  parts.set(node, { name, cells })
  return node
}

function fill(node, { name, found }) {
  const part = parts.get(node)
  say(part.name, name)
  for (const [region, cell] of part.cells) {
    const one = found.find((each) => each.region === region)
    const { word, more } = parts.get(cell)
    set(cell, 'data-state', one?.state ?? null)
    const oldest = one?.instances[0]
    say(word, !one ? '–' : oldest ? `${ago(oldest.since)}${one.instances.length > 1 ? ` × ${one.instances.length}` : ''}` : WORDS[one.state])
    say(more, one?.restarts ? plural(one.restarts, 'restart', 'restarts') : '')
    set(cell, 'title', one?.reported ? `last report ${clock(one.reported)}` : null)
  }
}

function instances(all) {
  const list = all.flatMap((one) => one.instances.map((instance) => ({ ...instance, name: one.name, region: one.region })))
  keep(find('instances-list'), list, (one) => `${one.region} ${one.name} ${one.id}`, () => element('li'), (node, one) => {
    say(node, `${one.name} · ${one.region} · ${one.machine} · since ${clock(one.since)} · ${one.id}`)
  })
  say(find('instances').firstElementChild, `Every instance (${count(list.length)})`)
}
