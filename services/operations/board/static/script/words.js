// Words: numbers, times, money and ages as people read them.

const LANGUAGE = document.documentElement.lang || 'en'
const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat(LANGUAGE, { notation: 'compact', maximumFractionDigits: 1 })
const tenth = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const hundredth = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 2, maximumFractionDigits: 2 })
const clockwork = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: 'medium', hourCycle: 'h23' })
const daywork = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' })
const listing = new Intl.ListFormat(LANGUAGE, { type: 'conjunction' })
const purses = new Map()

const OUTCOMES = { approved: 'Approved', held: 'Held', dropped: 'Dropped' }
const CHANNELS = { email: 'e-mail', onsite: 'on site' }

export const count = (number) => (number >= 1e5 ? compact : whole).format(number ?? 0)
export const list = (words) => listing.format(words)
export const outcome = (name) => OUTCOMES[name] ?? name
export const channel = (name) => CHANNELS[name] ?? name
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`

// Events per second: as many digits as mean something.
export function rate(number) {
  if (number === null || number === undefined) return '–'
  if (number === 0) return '0'
  if (number < 0.995) return hundredth.format(number)
  return number < 99.95 ? tenth.format(number) : count(Math.round(number))
}

// A share of one, as percent.
export function share(part) {
  const percent = part * 100
  return `${percent > 0 && percent < 9.95 ? tenth.format(percent) : whole.format(percent)} %`
}

// Seconds as an age.
export function age(seconds) {
  if (seconds === null || seconds === undefined) return 'never'
  if (seconds < 9.95) return `${tenth.format(seconds)} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`
}

// Minor units and a currency (ISO 4217). A code that is none is written as it came.
export function money({ amount, currency }) {
  try {
    if (!purses.has(currency)) {
      const purse = new Intl.NumberFormat(LANGUAGE, { style: 'currency', currency })
      purses.set(currency, [purse, 10 ** purse.resolvedOptions().maximumFractionDigits])
    }
    const [purse, units] = purses.get(currency)
    return purse.format(amount / units)
  } catch {
    return `${whole.format(amount)} ${currency}`
  }
}

// The time of day where the reader is; with the day when it is another one.
export function clock(iso) {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return '–'
  return (Math.abs(Date.now() - at) < 43_200_000 ? clockwork : daywork).format(at)
}

// How long ago something was, in one unit.
export function ago(iso) {
  const seconds = (Date.now() - new Date(iso)) / 1000
  return Number.isNaN(seconds) ? '–' : age(Math.max(0, seconds))
}

export function hour(zone) {
  try {
    return new Intl.DateTimeFormat(LANGUAGE, {
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      timeZone: zone,
    }).format(new Date())
  } catch {
    return ''
  }
}
