// Inbox: times as the reader's clock shows them, and new mails as they arrive.

const today = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const other = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' })

function localTimes() {
  for (const time of document.querySelectorAll('time')) {
    const at = new Date(time.dateTime)
    const isToday = at.toDateString() === new Date().toDateString()
    time.textContent = (isToday && time.hasAttribute('data-short') ? today : other).format(at)
  }
}

// The list is taken from the page as the server makes it now; the mail that is being read stays where it is.
async function refresh() {
  const response = await fetch(location.href)
  if (!response.ok) return
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html')
  const [list, now] = [document.getElementById('mails'), fresh.getElementById('mails')]
  if (!list || !now) return location.reload()
  const open = list.querySelector('[aria-current]')?.getAttribute('href')
  for (const link of now.querySelectorAll('a')) {
    if (link.getAttribute('href') === open) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
  }
  list.replaceChildren(...now.children)
  document.body.dataset.count = fresh.body.dataset.count
  document.getElementById('count').textContent = fresh.getElementById('count').textContent
  localTimes()
}

const connection = document.getElementById('connection')
const source = new EventSource('/live')
source.addEventListener('open', () => { connection.textContent = 'Live' })
source.addEventListener('error', () => { connection.textContent = 'Reconnecting' })
source.addEventListener('mails', (event) => { if (event.data !== document.body.dataset.count) refresh() })
addEventListener('pagehide', () => source.close())
localTimes()
