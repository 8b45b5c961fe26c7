// Connections: fetches the list again when something came in, and leaves open what is open.

const list = document.querySelector('#list')
const live = document.querySelector('#live')
const pause = document.querySelector('#pause')
const filter = document.querySelector('#filter')
const PAUSE = 300
let source = null
let timer = 0
let waiting = false
let held = false

async function refresh() {
  timer = 0
  waiting = false
  const query = new URLSearchParams(new FormData(filter))
  const answer = await fetch(`/connections/list?${query}`)
  if (answer.status === 401) return location.reload()
  if (!answer.ok) return
  const text = await answer.text()
  const open = new Set([...list.querySelectorAll('details[open]')].map((one) => one.dataset.name))
  const focused = list.contains(document.activeElement) ? document.activeElement.closest('details')?.dataset.name : null
  list.innerHTML = text
  for (const one of list.querySelectorAll('details')) {
    if (open.has(one.dataset.name)) one.open = true
    if (focused && one.dataset.name === focused) one.querySelector('summary').focus()
  }
}

function changed() {
  waiting = true
  if (!held && !timer) timer = setTimeout(() => refresh().catch(() => {}), PAUSE)
}

function listen() {
  source?.close()
  source = new EventSource('/connections/live')
  source.addEventListener('open', () => { live.textContent = 'live'; changed() })
  source.addEventListener('changed', changed)
  source.addEventListener('error', () => {
    live.textContent = 'connecting again'
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || listen(), 5_000)
  })
}

pause.hidden = false
pause.addEventListener('click', () => {
  held = !held
  pause.setAttribute('aria-pressed', String(held))
  pause.textContent = held ? 'Go on' : 'Hold still'
  live.textContent = held ? 'held still' : 'live'
  if (!held && waiting) changed()
})
filter.addEventListener('change', () => {
  history.replaceState(null, '', `?${new URLSearchParams(new FormData(filter))}`)
  refresh().catch(() => {})
})
for (const button of document.querySelectorAll('.copy')) {
  button.hidden = !navigator.clipboard
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector('code').textContent)
    button.firstChild.textContent = 'Copied'
    setTimeout(() => { button.firstChild.textContent = 'Copy' }, 2_000)
  })
}
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    source?.close()
    source = null
  } else if (!source) listen()
})
addEventListener('pagehide', () => source?.close())
if (!document.hidden) listen()
