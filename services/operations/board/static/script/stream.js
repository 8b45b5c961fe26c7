// Stream: the board's server-sent events, and how the connection is. A hidden page listens to nothing.

const SILENCE = 5_000
const PAUSES = [1, 2, 4, 8]

// Calls `on.state`, `on.history` and `on.connection({ state, seconds })`: "connecting", "live" or "lost".
export function listen(address, on) {
  let source = null
  let tries = 0
  let timer = 0
  let received = 0

  function open() {
    clearInterval(timer)
    source?.close()
    source = new EventSource(address)
    source.addEventListener('state', (event) => receive(event, on.state))
    source.addEventListener('history', (event) => receive(event, on.history))
    source.addEventListener('error', lose)
    received = performance.now()
    timer = setInterval(() => performance.now() - received > SILENCE && lose(), 1000)
  }

  function receive(event, handle) {
    received = performance.now()
    tries = 0
    on.connection({ state: 'live' })
    handle(JSON.parse(event.data))
  }

  function lose() {
    clearInterval(timer)
    source?.close()
    source = null
    let seconds = PAUSES[Math.min(tries, PAUSES.length - 1)]
    tries += 1
    on.connection({ state: 'lost', seconds })
    // An event source does not say why it failed: where the session has ended, the page leads to the sign-in.
    fetch(address.replace(/live$/, 'state')).then((answer) => answer.status === 401 && location.reload(), () => {})
    timer = setInterval(() => {
      seconds -= 1
      on.connection(seconds > 0 ? { state: 'lost', seconds } : { state: 'lost', seconds: 0 })
      if (seconds <= 0) open()
    }, 1000)
  }

  function look() {
    if (document.hidden) {
      clearInterval(timer)
      source?.close()
      source = null
    } else if (!source) {
      on.connection({ state: 'connecting' })
      open()
    }
  }

  document.addEventListener('visibilitychange', look)
  addEventListener('pagehide', () => source?.close())
  look()
}
