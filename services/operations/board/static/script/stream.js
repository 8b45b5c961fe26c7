// Stream: the board's server-sent events, and how the connection is. A hidden page listens to nothing.

const SILENCE = 5_000
const PAUSES = [1, 2, 4, 8]

// Calls `told.state`, `told.history` and `told.connection({ state, seconds })`: "connecting", "live" or "lost".
export function listen(address, told) {
  let source = null
  let tries = 0
  let timer = 0
  let heard = 0

  function open() {
    clearInterval(timer)
    source?.close()
    source = new EventSource(address)
    source.addEventListener('state', (event) => hear(event, told.state))
    source.addEventListener('history', (event) => hear(event, told.history))
    source.addEventListener('error', lose)
    heard = performance.now()
    timer = setInterval(() => performance.now() - heard > SILENCE && lose(), 1000)
  }

  function hear(event, tell) {
    heard = performance.now()
    tries = 0
    told.connection({ state: 'live' })
    tell(JSON.parse(event.data))
  }

  function lose() {
    clearInterval(timer)
    source?.close()
    source = null
    let seconds = PAUSES[Math.min(tries, PAUSES.length - 1)]
    tries += 1
    told.connection({ state: 'lost', seconds })
    // An event source does not say why it failed: where the session has ended, the page leads to the sign-in.
    fetch(address.replace(/live$/, 'state')).then((answer) => answer.status === 401 && location.reload(), () => {})
    timer = setInterval(() => {
      seconds -= 1
      told.connection(seconds > 0 ? { state: 'lost', seconds } : { state: 'lost', seconds: 0 })
      if (seconds <= 0) open()
    }, 1000)
  }

  function look() {
    if (document.hidden) {
      clearInterval(timer)
      source?.close()
      source = null
    } else if (!source) {
      told.connection({ state: 'connecting' })
      open()
    }
  }

  document.addEventListener('visibilitychange', look)
  addEventListener('pagehide', () => source?.close())
  look()
}
