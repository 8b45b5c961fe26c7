// Dead: messages that could not be handled, and what an operator does with them.

import { place } from './colours.js'
import { element, find, icon, keep, parts, say, set, show } from './element.js'
import { clock, count, list, plural } from './words.js'

const COPIED = 1_500

export function dead() {
  return ({ dead_letters: deadLetters, regions, region }) => {
    keep(find('dead'), deadLetters, (deadLetter) => `${deadLetter.region} ${deadLetter.number}`, row, fill)
    const stored = regions.find((one) => one.name === region)?.dead_letters ?? deadLetters.length
    const elsewhere = regions.filter((one) => one.name !== region && one.dead_letters)
    show(find('dead-empty'), !deadLetters.length)
    const rest = elsewhere.length ? '' : ' Every message was handled.'
    say(find('dead-empty'), stored ? `${plural(stored, 'dead letter is', 'dead letters are')} stored here, but cannot be read just now.` : `No dead letters${elsewhere.length ? ' in this region' : ''}.${rest}`)
    say(find('dead-more'), stored > deadLetters.length && deadLetters.length ? `The newest ${count(deadLetters.length)} of ${count(stored)}.` : '')
    show(find('dead-elsewhere'), elsewhere.length > 0)
    if (elsewhere.length) {
      say(find('dead-elsewhere-words'), `Elsewhere: ${list(elsewhere.map((one) => `${count(one.dead_letters)} in ${one.name}`))}. Look at them with`)
      say(find('dead-elsewhere-command'), `cartmesh dead list --region ${elsewhere[0].name}`)
    }
  }
}

function row() {
  const inner = Object.fromEntries(['handler', 'type', 'region', 'reason', 'event'].map((name) => [name, element('span', { class: name })]))
  const at = element('time')
  const [look, redrive] = [command('Look at it'), command('Handle it again')]
  const head = element('p', { class: 'top' }, inner.handler, at)
  const meta = element('p', { class: 'meta' }, inner.region, inner.type, inner.event)
  const node = element('li', {}, head, element('p', {}, inner.reason), meta, look, redrive)
  parts.set(node, { ...inner, at, look, redrive })
  return node
}

function fill(node, deadLetter) {
  const part = parts.get(node)
  say(part.handler, `${deadLetter.service} · ${deadLetter.handler}`)
  say(part.at, clock(deadLetter.at))
  set(part.at, 'datetime', deadLetter.at)
  say(part.region, deadLetter.region)
  set(part.region, 'data-region', place(deadLetter.region))
  say(part.type, deadLetter.type)
  say(part.event, deadLetter.id)
  say(part.reason, deadLetter.reason)
  say(parts.get(part.look).code, `cartmesh dead show ${deadLetter.number} --region ${deadLetter.region}`)
  say(parts.get(part.redrive).code, `cartmesh dead redrive ${deadLetter.number} --region ${deadLetter.region}`)
}

// A command with a button that copies it, where the browser lets pages do that.
function command(words) {
  const code = element('code', { tabindex: '-1' })
  const node = element('div', { class: 'command' }, element('span', { class: 'unseen' }, `${words}: `), code)
  if (navigator.clipboard) {
    const word = element('span', { class: 'unseen' }, 'Copy')
    const button = element('button', { type: 'button', title: `Copy: ${words.toLowerCase()}` }, icon('copy'), icon('yes'), word)
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(code.textContent)
      set(button, 'data-done', '')
      say(word, 'Copied')
      setTimeout(() => {
        set(button, 'data-done', null)
        say(word, 'Copy')
      }, COPIED)
    })
    node.append(button)
  }
  parts.set(node, { code })
  return node
}
