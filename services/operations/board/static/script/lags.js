// Lags: the consumers that have most to do come first; those with nothing to do are folded away.

import { place } from './colours.js'
import { element, find, keep, parts, reach, say, set, show } from './element.js'
import { count, plural } from './words.js'

const MOST = 6
const SETTLED = 2_000

export const waiting = (lag) => lag.pending + lag.ack_pending

// Every durable of every region.
export function lagging(regions) {
  return regions.flatMap((region) => region.consumers.map((lag) => ({ ...lag, region: region.name, key: `${region.name} ${lag.stream} ${lag.durable}` })))
}

export function lags() {
  let order = []
  let sorted = -Infinity

  return ({ regions }) => {
    const all = lagging(regions)
    const known = new Map(all.map((lag) => [lag.key, lag]))
    const busy = all.filter((lag) => waiting(lag) > 0 || lag.redelivered > 0)
    // The order is looked at every two seconds, so that rows can be read; their numbers are always the newest.
    if (performance.now() - sorted > SETTLED || order.length < Math.min(MOST, busy.length)) {
      sorted = performance.now()
      busy.sort((a, b) => waiting(b) - waiting(a) || b.redelivered - a.redelivered || a.key.localeCompare(b.key))
      order = busy.slice(0, MOST).map((lag) => lag.key)
    }
    const shown = order.filter((key) => known.has(key)).map((key) => known.get(key))
    const most = Math.max(1, ...shown.map(waiting))
    keep(find('lags'), shown, (lag) => lag.key, row, (node, lag) => fill(node, lag, most))
    show(find('lags-table'), shown.length > 0)
    show(find('lags-empty'), shown.length === 0)
    say(find('lags-empty'), all.length ? 'Nothing waits: every consumer is up to date.' : 'No region has reported its consumers yet.')
    fold(all.filter((lag) => !order.includes(lag.key)), shown.length)
  }
}

function fold(others, before) {
  show(find('lags-others'), others.length > 0)
  const busy = others.filter((lag) => waiting(lag) > 0)
  const words = before ? `all ${plural(others.length, 'other', 'others')}` : `all ${plural(others.length, 'consumer', 'consumers')}`
  const text = busy.length ? `${plural(others.length, 'other', 'others')}: ${count(busy.reduce((sum, lag) => sum + waiting(lag), 0))} waiting` : `${words}: 0`
  say(find('lags-folded'), text)
  if (!find('lags-others').open) return
  others.sort((a, b) => waiting(b) - waiting(a) || a.key.localeCompare(b.key))
  keep(find('lags-quiet'), others, (lag) => lag.key, () => element('li'), (node, lag) => {
    say(node, `${lag.durable} · ${lag.region}${waiting(lag) ? ` · ${count(waiting(lag))}` : ''}`)
  })
}

function row() {
  const [durable, region, pending, ackPending, redelivered] = ['span', 'span', 'td', 'td', 'td'].map((name) => element(name))
  const bar = element('span', { class: 'bar' })
  set(durable, 'class', 'durable')
  set(region, 'class', 'region')
  const node = element('tr', {}, element('th', { scope: 'row' }, durable, element('span', { class: 'under' }, region, bar)), pending, ackPending, redelivered)
  parts.set(node, { durable, region, pending, ackPending, redelivered, bar })
  return node
}

function fill(node, lag, most) {
  const { durable, region, pending, ackPending, redelivered, bar } = parts.get(node)
  say(durable, lag.durable)
  set(durable, 'title', `${lag.durable}, of ${lag.stream}`)
  say(region, lag.region)
  set(region, 'data-region', place(lag.region))
  reach(bar, waiting(lag) / most)
  for (const [cell, value] of [[pending, lag.pending], [ackPending, lag.ack_pending], [redelivered, lag.redelivered]]) {
    say(cell, count(value))
    set(cell, 'data-none', value === 0 ? '' : null)
  }
}
