// Person: what the shopper allows, who they say they are, and how the mesh is told.
const CHOICE = 'haru-linde:consent', ACCOUNT = 'haru-linde:account'
const memory = new Map()

// Where storage is full or forbidden, what is kept lasts as long as the page.
export const kept = name => {
  try { return JSON.parse(localStorage.getItem(name)) ?? memory.get(name) ?? null } catch { return memory.get(name) ?? null }
}
export const keep = (name, value) => {
  memory.set(name, value)
  try {
    value === null ? localStorage.removeItem(name) : localStorage.setItem(name, JSON.stringify(value))
  } catch {}
}

// Works before cartmesh.js is there, and where it is blocked.
window.cartmesh ||= []
export const say = (...call) => window.cartmesh.push(call)

const signals = () => navigator.globalPrivacyControl === true || navigator.doNotTrack === '1'
export const choice = () => kept(CHOICE) ?? (signals() ? 'no' : null)
export const account = () => kept(ACCOUNT)
export const visitor = () => choice() === 'yes' ? window.cartmesh.visitor : null

export const choose = answer => {
  keep(CHOICE, answer)
  say('consent', answer === 'yes')
  // Who signed in before they allowed it is told now.
  if (answer === 'yes' && account()) introduce(account())
}

const introduce = ({ email, allowed }) => {
  if (choice() !== 'yes') return
  say('identify', { email })
  say('consent', 'email', allowed)
}
export const signIn = who => {
  keep(ACCOUNT, who)
  introduce(who)
}
// Allowed after it was refused, by the visitor or for e-mail alone.
export const allowMail = () => {
  const who = { ...account(), allowed: true }
  keep(ACCOUNT, who)
  if (choice() === 'yes') introduce(who)
  else choose('yes')
}
export const signOut = () => {
  keep(ACCOUNT, null)
  say('forget')
}

// Chosen in another tab, or on a later page from which the shopper came back.
export const decided = listener => {
  const hear = () => {
    if (choice()) say('consent', choice() === 'yes')
    listener()
  }
  addEventListener('storage', ({ key }) => key === CHOICE && hear())
  addEventListener('pageshow', ({ persisted }) => persisted && hear())
}

// A choice that was made on an earlier page holds on this one.
if (choice()) say('consent', choice() === 'yes')
