// cartmesh.js: sends to the mesh what a shopper does, and shows the offers it decides on.
// What a page can call and set: cartmesh.d.ts. No build step: the gateway serves this file without
// its indentation and without lines that are only a comment, so comments stand on lines of their own.
(() => {
  const script = document.currentScript || document.querySelector('script[data-key][src*=cartmesh]')
  const early = window.cartmesh
  if (!script || early?.version) return

  const { key, region, regions, consent, respect, offers, views, lang, debug: mark } = script.dataset
  const debug = mark !== undefined && mark !== 'false'
  const NAME = 'cartmesh:' + key
  const QUEUE = NAME + ':'
  const QUERY = '?key=' + encodeURIComponent(key)
  const MINE = QUEUE + Math.random()
  // Events that are kept; events and characters of one request (a page that closes may send 64 KiB in all).
  const UPDATES = '/v1/updates', MOST = 1000, BATCH = 100, CHARACTERS = 16e3
  const SECOND = 1e3, MINUTE = 6e4

  // What goes wrong is written to the console, never thrown into the page: once, with data-debug each time.
  const warned = new Set()
  const warn = (words, ...more) => {
    if (debug || !warned.has(words)) console.warn('cartmesh: ' + words, ...more)
    warned.add(words)
  }
  const quiet = work => { try { return work() } catch {} }
  const guard = (work, name = 'script') => { try { return work() } catch (error) { warn(name + ' failed', error) } }
  const id = () => crypto.getRandomValues(new Uint32Array(4)).join('-')
  const ask = (base, query, patience, more) =>
    fetch(base + UPDATES + query, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout?.(patience * SECOND), ...more })

  // Storage. Full, forbidden or broken: everything stays in memory.
  const store = (name, value) => quiet(() => {
    if (value === undefined) return JSON.parse(localStorage.getItem(name))
    if (!value) return localStorage.removeItem(name)
    localStorage.setItem(name, JSON.stringify(value))
    return true
  })
  const stored = () => quiet(() => Object.keys(localStorage).filter(name => name === NAME || name.startsWith(QUEUE))) || []

  // The visitor: v id, s session, t last active, k cart, f a cart is filled, c customer and signature, o server's clock minus ours,
  // g session that learned it, l last time sent, h home region, r region in use, u when home is tried again, x dismissed offers,
  // w last offer shown.
  let state = {}
  // 1: the visitor allows it, 0: not asked yet, -1: refused.
  let mode = 0
  let unasked = []
  const recall = () => Object.assign(state, store(NAME))
  const remember = changes => {
    Object.assign(state, changes)
    if (mode > 0) store(NAME, { ...store(NAME), ...changes })
  }

  // What waits to be sent: e event, at when by our clock, n its length, d a region that may have it, s since when.
  let queue = [], dropped = 0, left
  const flying = new Set()
  // A page that was asleep, or left, may have been taken for closed: what it kept is then with another page, which sends it,
  // perhaps to another region. It is gone from the storage, and must not be sent from here as well.
  let kept = [], since
  const save = () => {
    if (mode < 1) return
    const now = Date.now()
    if (kept[0] && now - since > MINUTE / 2 && !store(MINE)) queue = queue.filter(item => !kept.includes(item))
    since = left ? 0 : now
    kept = queue[0] && store(MINE, { t: since, q: queue }) ? [...queue] : []
    if (!queue[0]) store(MINE, null)
  }

  // Events that another page left behind, because it closed or crashed, are sent by this one.
  const adopt = () => {
    for (const name of stored()) {
      const found = store(name)
      if (name === NAME || name === MINE || found && Date.now() - found.t < MINUTE) continue
      store(name, null)
      queue.unshift(...(found?.q || []).filter(item => item?.e))
    }
    while (queue.length > MOST) drop()
    wake(0)
  }

  // A queue that is full loses its oldest view, search or list shown first: only `product_` and `recommendation_` come after `p`.
  // What may be stored already is not dropped.
  const drop = () => {
    let at = queue.findIndex(item => !item.d && item.e.type > 'p')
    if (at < 0) at = queue.findIndex(item => !item.d)
    queue.splice(at, 1)
    dropped++
    warn(`over ${MOST} events wait`)
  }

  const make = (at, type, fields) => {
    if (!(Math.abs(at - state.t) < SECOND)) {
      recall()
      remember({ v: state.v || id(), s: Math.abs(at - state.t) < 30 * MINUTE ? state.s : id(), t: at })
    }
    // A text that was cut inside an emoji is no text that others can read.
    const whole = (_, value) => value?.toWellFormed?.() ?? value
    const body = JSON.stringify({ id: id(), type, visitor_id: state.v, session_id: state.s, ...state.c, ...fields }, whole)
    const e = JSON.parse(body)
    if (debug) console.log('cartmesh: ' + type, e)
    queue.push({ e, at, n: body.length })
    if (queue.length > MOST) drop()
    // Kept before the page goes on, in case it crashes; with many waiting that would cost too much.
    if (queue.length < 50) save()
    wake(200)
    return e.id
  }

  // Regions. An event that was on its way to one may be stored there: that region is waited for,
  // so that the event is not sent to two.
  const named = {}
  const bases = (regions || '').split(/[\s,]+/).filter(Boolean).map(part => {
    const [, name, base] = /^(?:([\w-]+)=)?(.+?)\/*$/.exec(part)
    return named[name] = base
  })
  if (!bases[0]) bases.push(script.src.replace(/\/v1\/.*/, ''))
  let home, here, answered = 0, asked = 0
  const elsewhere = (item, base) =>
    item.d && item.d !== base && bases.includes(item.d) && Date.now() - item.s < 5 * MINUTE

  const learn = answer => {
    const skew = Date.parse(answer.headers.get('date')) + 500 - Date.now()
    const o = Math.abs(skew) > 2 * SECOND ? skew : 0
    if (skew === skew && !(Math.abs(o - state.o) < 2 * SECOND && state.g === state.s)) remember({ o, g: state.s })
  }
  const alive = async base => {
    try {
      const answer = await ask(base, '', 3)
      learn(answer)
      return answer.ok
    } catch {}
  }

  // The region to talk to: the one that just answered, else home, else the next that answers, for a minute.
  const find = async () => {
    const now = Date.now()
    const away = here !== home && now < state.u
    // The clock may have been set since the last session.
    const sure = state.o !== undefined && state.g === state.s && (!bases[1] || now - answered < 10 * SECOND || live?.readyState === 1)
    if (here && sure && (here === home || away)) return here
    home ||= await Promise.any(bases.map(async base => await alive(base) ? base : Promise.reject())).catch(() => bases[0])
    for (const base of new Set([away ? here : home, home, ...bases])) {
      if (!await alive(base)) continue
      answered = Date.now()
      remember({ h: home, r: base, u: away ? state.u : now + MINUTE })
      if (base !== here || !live) {
        here = base
        listen()
      }
      return base
    }
  }

  // Sending. Times are stamped by the server's clock once, and then never change.
  const take = base => {
    const batch = []
    let size = 0
    for (const item of queue) {
      if (flying.has(item) || elsewhere(item, base)) continue
      size += item.n
      if (batch[0] && size > CHARACTERS || batch.length === most) break
      batch.push(item)
    }
    return batch
  }
  const post = async (base, body) => {
    if (left && !('keepalive' in Request.prototype)) throw navigator.sendBeacon(base + UPDATES + QUERY, body)
    return ask(base, QUERY, 12, { method: 'POST', body, keepalive: body.length < 2e4 })
  }
  const send = async (base, batch) => {
    for (const item of batch) {
      let at = item.at + (state.o || 0)
      if (at <= state.l && state.l - at < 5 * SECOND) at = state.l + 1
      if (!item.e.time) item.e.time = new Date(state.l = at).toISOString()
      item.d = base
      item.s ||= Date.now()
      flying.add(item)
    }
    remember({ l: state.l })
    save()
    try {
      const answer = await post(base, JSON.stringify({ events: batch.map(item => item.e) }))
      const { status, ok } = answer
      learn(answer)
      // One of them spoils the request for all: from now on each goes by itself.
      if (status === 400 && batch[1]) return most = 1
      if (!ok && ![400, 401, 403, 413, 422].includes(status)) {
        const wait = +answer.headers.get('retry-after') || 2 ** Math.min(5, tries++)
        hold = Date.now() + (Math.min(300, wait) + Math.random()) * SECOND
        if (status !== 429 && ++refusals > 2) answered = 0
        return
      }
      answered = Date.now()
      tries = refusals = 0
      queue = queue.filter(item => !batch.includes(item))
      if (!ok || !queue[0]) most = BATCH
      save()
      const { rejected = [], ignored = [], detail } = await answer.json()
      if (detail) warn(`refused (data-key="${key || ''}"): ` + detail)
      for (const [what, list] of [['rejected', rejected], ['left out of', ignored]])
        for (const { index, path, reason } of list) warn(`${what} ${batch[index]?.e.type}: ${path}: ${reason}`)
      if (debug) console.log('cartmesh: stored', batch.length - rejected.length)
    } finally {
      batch.forEach(item => flying.delete(item))
    }
  }
  let timer, busy, hold = 0, tries = 0, refusals = 0, most = BATCH
  const pump = async () => {
    timer = 0
    save()
    if (mode < 1 || busy || !queue[0]) return
    if (Date.now() < hold) return wake(hold - Date.now())
    busy = true
    try {
      if (navigator.onLine === false) throw 0
      let base = await find()
      const stray = queue.find(item => elsewhere(item, base))
      if (stray && Date.now() > asked) {
        asked = Date.now() + 3 * SECOND
        if (await alive(stray.d)) base = stray.d
      }
      const batch = mode > 0 && base && take(base)
      if (!batch[0]) throw 0
      await send(base, batch)
    } catch {
      answered = 0
      hold = Date.now() + 2 ** Math.min(5, tries++) * SECOND * (1 - Math.random() / 2)
    }
    busy = false
    if (queue[0]) wake(Math.max(100, hold - Date.now()))
  }
  const wake = wait => {
    if (timer && wait) return
    clearTimeout(timer)
    timer = setTimeout(pump, wait)
  }
  const now = () => {
    hold = tries = 0
    wake(0)
  }

  // The page is hidden or closes: send what there is, and leave the rest where the next page finds it.
  const leave = () => {
    if (mode < 1) return
    const base = here || home || bases[0]
    for (let turn = 0, batch; turn < 3 && navigator.onLine !== false && (batch = take(base))[0]; turn++)
      send(base, batch).catch(() => {})
    save()
    mute()
  }

  // Offers.
  const WORDS = { en: ['Close', 'Copy', 'Copied'], de: ['Schließen', 'Kopieren', 'Kopiert'], ja: ['閉じる', 'コピー', 'コピーしました'] }
  const STYLE = `
    :host { all: initial; position: fixed; inset: auto 0 0 auto; z-index: 999999999; width: 392px; max-width: 100%;
      padding: 16px; box-sizing: border-box; color-scheme: inherit; font: 16px/1.5 var(--cartmesh-font, system-ui, sans-serif);
      --line: color-mix(in srgb, currentColor 20%, #0000); --round: var(--cartmesh-radius, 12px) }
    section { position: relative; max-height: 78vh; overflow: auto; overflow-wrap: anywhere; padding: 24px;
      box-shadow: 0 8px 32px #0003;
      color: var(--cartmesh-text, CanvasText); background: var(--cartmesh-surface, Canvas);
      border: 1px solid var(--line); border-radius: var(--round) }
    h2 { margin: 0 32px 8px 0; font-size: 20px; line-height: 1.3 }
    p { margin: 0 0 16px }
    [part=coupon] { display: flex; margin: 0 0 12px; border: 1px dashed var(--line); border-radius: var(--round) }
    code { flex: 1; padding: 10px 16px; user-select: all }
    button { all: unset; cursor: pointer; padding: 10px 16px; text-decoration: underline }
    [part=close] { position: absolute; top: 8px; right: 8px; padding: 0; width: 44px; font-size: 24px; line-height: 44px;
      text-align: center; text-decoration: none }
    a { display: block; padding: 12px; text-align: center; text-decoration: none; font-weight: 600;
      color: var(--cartmesh-on-accent, Canvas); background: var(--cartmesh-accent, CanvasText); border-radius: var(--round) }
    :focus-visible { outline: 2px solid; outline-offset: 2px }`
  let live, card
  const mute = () => {
    live?.close()
    live = null
  }
  const listen = () => {
    mute()
    if (mode < 1 || !here || !state.v || document.hidden || offers === 'off' || !state.f && offers !== 'always') return
    const source = live = new EventSource(here + '/v1/cards/' + state.v + QUERY)
    source.addEventListener('offer', message => guard(() => show(JSON.parse(message.data))))
    source.addEventListener('withdrawn', message => guard(() => hide(JSON.parse(message.data).offer_id)))
    // A source that was cut comes back by itself, unless another region is nearer; one that was refused does not.
    source.onerror = () => {
      const refused = source.readyState === 2
      answered = 0
      if (refused || bases[1]) setTimeout(async () => {
        if (source !== live || source.readyState === 1) return
        if (refused) mute()
        await find()
        live || listen()
      }, refused ? 20 * SECOND : SECOND)
    }
  }

  const element = (tag, part, textContent, more) => Object.assign(document.createElement(tag), { part, textContent, ...more })
  const hide = which => {
    if (!card || which && card.offer !== which) return
    document.removeEventListener('keydown', card.escape)
    const focused = card.host.shadowRoot.activeElement
    card.host.remove()
    if (focused) card.from?.focus()
    card = null
  }
  const dismiss = () => guard(() => {
    recall()
    remember({ x: [...state.x || [], card.offer].slice(-20) })
    hide()
  })
  const show = detail => {
    const { card: { title, body, action, url, coupon }, ...which } = detail, offer = which.offer_id
    recall()
    if (mode < 1 || card?.offer === offer || state.x?.includes(offer)) return
    hide()
    if (!document.dispatchEvent(new CustomEvent('cartmesh:offer', { detail, cancelable: true }))) return
    const words = WORDS[(lang || document.documentElement.lang || navigator.language).slice(0, 2)] || WORDS.en
    const host = element('cartmesh-offer')
    const root = host.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets.push(new CSSStyleSheet())
    root.adoptedStyleSheets[0].replaceSync(STYLE)
    // The live region is there before its content, so that screen readers read it; the focus stays where it is.
    root.append(element('div', '', '', { ariaLive: 'polite' }))
    const box = element('section', 'card', '', { role: 'dialog', ariaLabel: title })
    box.append(element('h2', 'title', title), element('p', 'body', body))
    if (coupon) {
      const row = element('div', 'coupon')
      row.append(element('code', 'code', coupon), element('button', 'copy', words[1], { onclick: ({ target }) =>
        navigator.clipboard?.writeText(coupon).then(() => { target.textContent = words[2] }, () => {}) }))
      box.append(row)
    }
    const { href, protocol } = new URL(url, location)
    if (/^http/.test(protocol)) box.append(element('a', 'action', action, { href, onclick: () => dismiss(api.clicked(which)) }))
    box.append(element('button', 'close', '×', { ariaLabel: words[0], onclick: dismiss }))
    box.addEventListener('focusin', ({ relatedTarget }) => { if (card) card.from ||= relatedTarget })
    const escape = press => press.key === 'Escape' && !press.defaultPrevented && dismiss()
    document.addEventListener('keydown', escape)
    card = { offer, host, escape }
    document.body.append(host)
    setTimeout(() => root.firstChild.append(box), 50)
    if (state.w !== offer) api.shown(which)
    remember({ w: offer })
  }

  // Consent.
  const grant = () => {
    if (mode > 0) return
    mode = 1
    recall()
    home = named[region] || (bases[1] ? bases.find(base => base === state.h) : bases[0])
    here = bases.find(base => base === state.r) || home
    guard(adopt)
    unasked.splice(0).forEach(([at, name, ...args]) => guard(() => does[name](at, ...args), name))
    listen()
  }
  const refuse = () => {
    mode = -1
    stored().forEach(name => store(name, null))
    state = {}
    unasked = []
    queue = []
    mute()
    hide()
  }

  // What a page can call.
  const utc_offset = () => -new Date().getTimezoneOffset()
  const does = {
    view: (at, fields) => make(at, 'product_viewed', {
      device: /Mobi/.test(navigator.userAgent) ? 'mobile' : 'desktop',
      referrer: document.referrer.startsWith(location.origin) ? null : document.referrer.split(/[?#]/)[0] || null,
      utc_offset: utc_offset(), ...(fields.product_id ? fields : { product_id: fields }) }),
    search: (at, fields) => make(at, 'product_searched', fields.query === undefined ? { query: fields } : fields),
    cart: (at, fields) => {
      const lines = fields.lines || fields
      recall()
      const k = fields.cart_id || state.k || id()
      remember({ k, f: lines.length })
      const made = make(at, 'cart_updated', { utc_offset: utc_offset(), ...(fields.lines && fields), lines, cart_id: k })
      live || listen()
      return made
    },
    checkout: (at, fields) => make(at, 'checkout_started', { cart_id: state.k || id(), ...fields }),
    order: (at, fields) => {
      const made = make(at, 'order_placed', { cart_id: state.k, ...fields })
      remember({ k: null, f: 0 })
      return made
    },
    identify: (at, fields) => {
      const { customer_id, customer_signature } = fields
      if (customer_id) remember({ c: { customer_id, customer_signature } })
      const { locale, timeZone: time_zone } = Intl.DateTimeFormat().resolvedOptions()
      return make(at, 'customer_identified', { locale, time_zone, ...fields })
    },
    consent: (at, channel, granted, fields) => make(at, 'consent_changed', { channel, granted, ...fields }),
    subscribed: (at, fields) => make(at, 'push_subscribed', fields),
    shown: (at, fields) => make(at, fields.offer_id ? 'offer_shown' : 'recommendation_shown', fields),
    clicked: (at, fields) => make(at, fields.offer_id ? 'offer_clicked' : 'recommendation_clicked', fields),
  }
  const follow = find => {
    let last
    const look = () => guard(() => {
      const fields = find(location)
      if (last !== (last = JSON.stringify(fields)) && fields) api.view(fields)
    }, 'follow')
    for (const name of ['pushState', 'replaceState']) {
      const was = history[name]
      history[name] = function (...args) {
        setTimeout(look)
        return was.apply(this, args)
      }
    }
    addEventListener('popstate', look)
    look()
  }
  const api = {
    version: 1,
    follow: find => guard(() => follow(find), 'follow'),
    forget: () => guard(() => {
      remember({ v: null, s: null, t: 0, k: null, f: 0, c: null, x: null })
      mute()
      hide()
    }),
    flush: now,
    push: (...calls) => calls.forEach(call => guard(() => api[call[0]](...call.slice(1)), `push('${call?.[0]}')`)),
    get visitor() { return state.v },
    get region() { return here },
    get waiting() { return queue.length },
    get dropped() { return dropped },
  }
  for (const name in does) api[name] = (...args) => guard(() => {
    if (name === 'consent' && args.length < 2) return args[0] ? grant() : refuse()
    if (mode > 0) return does[name](Date.now(), ...args)
    if (!mode && unasked.length < BATCH) unasked.push([Date.now(), name, ...args])
  }, name)

  guard(() => {
    const begin = () => {
      if (respect && (navigator.globalPrivacyControl || navigator.doNotTrack === '1')) refuse()
      else if (consent !== 'required' || store(NAME)?.v) grant()
    }
    // A page that is only prepared, in case the shopper goes there, sends nothing yet.
    document.prerendering ? document.addEventListener('prerenderingchange', begin) : begin()
    window.cartmesh = api
    if (Array.isArray(early)) api.push(...early)
    // A link in a mail names its offer. Who opened it counts once they move, touch or type: programs open links too.
    let link = new URLSearchParams(location.search).get('cartmesh')
    const arrive = () => guard(() => {
      if (!link) return
      const [channel, offer_id, cart_id, position, product_id] = link.split('.')
      link = 0
      api.clicked({ offer_id, cart_id, channel })
      if (position) api.clicked({ list_id: offer_id, place: channel, product_id, position: +position })
      history.replaceState(history.state, '', location.href.replace(/cartmesh=[^&#]+&?/, ''))
    })
    for (const sign of ['pointermove', 'pointerdown', 'keydown']) addEventListener(sign, arrive)
    if (views) {
      const path = views.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(':product_id', '([\\w-]+)')
      follow(at => at.pathname.match(`^${path}/?$`)?.[1])
    }
    addEventListener('online', now)
    addEventListener('storage', ({ key: name, newValue }) => name === NAME && !newValue && refuse())
    addEventListener('pagehide', () => {
      left = true
      guard(leave)
    })
    document.addEventListener('visibilitychange', () => left || guard(document.hidden ? leave : back))
    addEventListener('pageshow', ({ persisted }) => persisted && guard(back))
    function back() {
      left = false
      if (mode < 1) return
      adopt()
      listen()
    }
  })
})()
