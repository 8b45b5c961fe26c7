// Offer: one decision as a row, and what stands behind it once it is opened.

import { place } from './colours.js'
import { element, icon, keep, parts, say, set, show } from './element.js'
import { channel, clock, list, money, outcome, share } from './words.js'

const KINDS = {
  sent: 'Sent',
  shown: 'Shown',
  failed: 'Failed',
  withdrawn: 'Withdrawn',
  deferred: 'Put off',
  recovered: 'Recovered',
}

export function row() {
  const named = (name, kind = 'span') => [name, element(kind, { class: name })]
  const inner = Object.fromEntries([
    ...['outcome', 'lines', 'total', 'region', 'reason', 'event'].map((name) => named(name)),
    named('at', 'time'),
  ])
  const [signs, word] = [element('span', { class: 'signs' }, ...['approved', 'held', 'dropped'].map(icon)), element('span')]
  inner.outcome.append(signs, word)
  const top = element('span', { class: 'top' }, inner.outcome, inner.lines, inner.total)
  const under = element('span', { class: 'meta' }, inner.at, inner.region, inner.reason, inner.event)
  const details = element('details', {}, element('summary', {}, top, under))
  const node = element('li', { class: 'offer' }, details)
  details.addEventListener('toggle', () => details.open && fillBehind(node))
  parts.set(node, { ...inner, word, details, behind: null, offer: null })
  return node
}

export function fill(node, offer, fresh) {
  const part = parts.get(node)
  const before = part.offer
  part.offer = offer
  if (fresh) {
    part.details.open = false
    say(part.word, outcome(offer.outcome))
    say(part.lines, offer.lines.join(', ') || 'An empty cart')
    say(part.total, offer.total ? money(offer.total) : '')
    say(part.region, offer.region)
    set(part.region, 'data-region', place(offer.region))
  }
  if (!fresh && before.at === offer.at && before.events.length === offer.events.length) return
  set(node, 'data-outcome', offer.outcome)
  say(part.word, outcome(offer.outcome))
  say(part.at, clock(offer.at))
  set(part.at, 'datetime', offer.at)
  say(part.reason, reason(offer))
  const last = offer.events.at(-1)
  say(part.event, last ? (KINDS[last.kind] ?? last.kind) : '')
  set(part.event, 'data-kind', last?.kind)
  if (part.details.open) fillBehind(node)
}

// The reason, with what the offer would give.
function reason(offer) {
  const why = {
    approved: () => offer.channels.map(channel).join(', '),
    held: () => `${offer.reason}${offer.held_until ? `, until ${clock(offer.held_until)}` : ''}`,
    dropped: () => offer.reason,
  }[offer.outcome]?.() ?? offer.reason
  return [why, offer.discount_percent ? `${offer.discount_percent} % off` : ''].filter(Boolean).join(' · ')
}

// How likely a purchase without an offer is. Without a model it is what such carts do on average, which says nothing
// of this shopper.
function likelihood({ propensity, is_base_rate: average }) {
  if (propensity === null) return ['Likely to buy without an offer', 'not scored']
  return [average ? 'Carts like it that are bought, on average (no model yet)' : 'Likely to buy without an offer', share(propensity)]
}

// What is only seen when opened is only built when opened.
function behind() {
  const [facts, checks, recommended, events, cart] = ['dl', 'tbody', 'ul', 'ol', 'ul'].map((name) => element(name))
  const table = element('table', { class: 'checks' },
    element('thead', {}, element('tr', {}, ...['Check', 'Value'].map((word) => element('th', { scope: 'col' }, word)))), checks)
  const advice = element('div', {}, element('h3', {}, 'Recommended with it'), recommended)
  const history = element('div', {}, element('h3', {}, 'What became of it'), events)
  const content = element('div', {}, element('h3', {}, 'In the cart'), cart)
  const node = element('div', { class: 'behind' }, facts, table, content, advice, history)
  parts.set(node, { facts, checks, recommended, events, advice, cart, content })
  return node
}

function fillBehind(node) {
  const part = parts.get(node)
  const { offer } = part
  if (!part.behind) part.details.append((part.behind = behind()))
  const inner = parts.get(part.behind)
  facts(inner.facts, [
    ['Cart', offer.cart_id],
    ['Journey', offer.journey],
    ['Discount', offer.discount_percent ? `${offer.discount_percent} %` : 'none'],
    likelihood(offer),
    ...(offer.channels.length ? [['Channels', list(offer.channels.map(channel))]] : []),
    ...(offer.held_until ? [['Held until', clock(offer.held_until)]] : []),
  ])
  rows(inner.checks, offer.checks, check, (row, one) => {
    const { name, sign, value } = parts.get(row)
    set(row, 'data-passed', String(one.passed))
    say(name, one.name)
    say(sign, one.passed ? 'passed: ' : 'not passed: ')
    say(value, one.value)
  })
  show(inner.content, offer.lines.length > 0)
  rows(inner.cart, offer.lines, () => element('li'), say)
  show(inner.advice, offer.recommended.length > 0)
  rows(inner.recommended, offer.recommended, pair, (row, one) => fillPair(row, one.name, one.reason))
  const events = offer.events.length ? offer.events : [{ kind: { approved: 'On its way', held: 'Waiting' }[offer.outcome] ?? 'Nothing was sent', detail: '', at: null }]
  rows(inner.events, events, pair, (row, one) => {
    set(row, 'data-kind', one.kind)
    fillPair(row, KINDS[one.kind] ?? one.kind, [one.channel && channel(one.channel), one.detail, one.at && clock(one.at)].filter(Boolean).join(' · '))
  })
}

const rows = (parent, items, make, fillOne) =>
  keep(parent, items.map((item, index) => ({ item, index })), (one) => one.index, make, (node, one) => fillOne(node, one.item))

function facts(parent, pairs) {
  rows(parent, pairs, () => {
    const [dt, dd] = [element('dt'), element('dd')]
    const node = element('div', {}, dt, dd)
    parts.set(node, { dt, dd })
    return node
  }, (node, [name, value]) => {
    say(parts.get(node).dt, name)
    say(parts.get(node).dd, value)
  })
}

function check() {
  const [name, sign, value] = [element('span'), element('span', { class: 'unseen' }), element('td')]
  const node = element('tr', {}, element('th', { scope: 'row' }, icon('yes'), icon('no'), sign, name), value)
  parts.set(node, { name, sign, value })
  return node
}

function pair() {
  const [name, more] = [element('b'), element('span')]
  const node = element('li', {}, name, ' ', more)
  parts.set(node, { name, more })
  return node
}

function fillPair(node, name, more) {
  say(parts.get(node).name, name)
  say(parts.get(node).more, more)
}
