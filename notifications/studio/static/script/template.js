// Template: the mail follows what is typed, a variable is written at the cursor, and nothing typed is lost by leaving.

const form = document.getElementById('editor')
const found = document.getElementById('found')
const saved = document.getElementById('saved')
const SHOWN_TOO = ['409', '422', '429', '502']

let field = null
let typed = 0
let stored = 0
let sending = 0
let frames = 0

// A new frame takes the place of the old one once it is loaded: nothing flickers, and no step is added to the history.
function showMail() {
  const old = document.getElementById('mail')
  const next = old.cloneNode(false)
  next.removeAttribute('src')
  next.id = ''
  next.name = `mail-${++frames}`
  next.classList.add('coming')
  const mine = frames
  old.after(next)
  next.addEventListener('load', () => {
    if (mine !== frames) return next.remove()
    for (const one of document.querySelectorAll('.window iframe')) if (one !== next) one.remove()
    next.id = 'mail'
    next.classList.remove('coming')
  })
  const { action, target } = form
  form.action = form.dataset.frame
  form.target = next.name
  HTMLFormElement.prototype.submit.call(form)
  form.action = action
  form.target = target
}

function insert(text) {
  const into = field?.isConnected ? field : form.querySelector('#text-body, #blocks textarea, #blocks input[id]')
  if (!into || into.readOnly) return
  if (into.code) return into.code.insert(text)
  into.focus()
  into.setRangeText(text, into.selectionStart, into.selectionEnd, 'end')
  into.dispatchEvent(new Event('input', { bubbles: true }))
}

// The line that a finding names is selected where it is written.
function select(link) {
  const into = document.getElementById(link.hash.slice(1))
  if (!into) return false
  if (into.code) {
    into.code.select(Number(link.dataset.line ?? 1))
    return true
  }
  if (!(into instanceof HTMLTextAreaElement)) {
    into.focus()
    into.scrollIntoView({ block: 'center' })
    return true
  }
  const lines = into.value.split('\n')
  const line = Math.min(Number(link.dataset.line ?? 1), lines.length)
  const from = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0)
  into.focus()
  into.setSelectionRange(from, from + lines[line - 1].length)
  into.scrollIntoView({ block: 'center' })
  return true
}

form.addEventListener('focusin', ({ target }) => {
  if (target.closest('.code-view')) field = form.querySelector('#text-body')
  else if (target.matches('textarea, #blocks input[id]:not([type])')) field = target
})
form.addEventListener('input', ({ target }) => { if (target.closest('#texts') && !target.closest('.code-view')) typed += 1 })
// A form that is sent while the page saves by itself would meet its own save as somebody else's: it waits for it.
form.addEventListener('submit', (event) => {
  if (saved.classList.contains('htmx-request')) {
    event.preventDefault()
    const { name, value } = event.submitter ?? {}
    const again = () => form.requestSubmit([...saved.querySelectorAll('button')].find((one) => one.name === name && one.value === value))
    saved.addEventListener('htmx:afterSettle', again, { once: true })
    return
  }
  if (event.submitter?.formTarget !== '_blank') stored = typed
})
form.addEventListener('click', (event) => {
  const name = event.target.closest('[data-insert]')
  const link = event.target.closest('.findings a')
  if (name) insert(name.dataset.insert)
  else if (link && select(link)) event.preventDefault()
})

document.body.addEventListener('htmx:beforeSwap', ({ detail }) => {
  if (detail.target.id !== 'blocks' && SHOWN_TOO.includes(String(detail.xhr.status))) Object.assign(detail, { shouldSwap: true, isError: false })
})
document.body.addEventListener('htmx:beforeRequest', ({ detail }) => { if (detail.elt === saved) sending = typed })
document.body.addEventListener('htmx:afterSwap', ({ detail }) => {
  if (detail.target === found) showMail()
  if (detail.target.id === 'blocks') afterBlocks()
  if (detail.target === saved && saved.querySelector('[data-saved]')) stored = sending
})

// A list that a button of it changed is typed like any other text: the mail follows, and the page saves it.
function afterBlocks() {
  const list = document.getElementById('blocks')
  document.getElementById(list.dataset.focus)?.focus()
  document.getElementById('block-said').textContent = list.dataset.said
  list.dispatchEvent(new Event('input', { bubbles: true }))
}

// What is typed while a list is on its way would be lost with the old one: nothing can be typed until it is there.
document.body.addEventListener('htmx:beforeRequest', ({ detail }) => { if (detail.target.id === 'blocks') detail.target.inert = true })
document.body.addEventListener('htmx:afterRequest', ({ detail }) => { if (detail.target.id === 'blocks') detail.target.inert = false })

function trouble(words) {
  const place = saved.querySelector('[role="status"]')
  if (place) place.textContent = words
}

document.body.addEventListener('htmx:sendError', () => trouble('Not saved: the studio does not answer. The next change tries again.'))
document.body.addEventListener('htmx:responseError', ({ detail }) => {
  const ended = [401, 403].includes(detail.xhr.status)
  trouble(ended ? 'Not saved: your session has ended. Copy what you typed, then load the page again.' : 'Not saved: the studio could not do that. The next change tries again.')
})
addEventListener('beforeunload', (event) => { if (typed !== stored) event.preventDefault() })
