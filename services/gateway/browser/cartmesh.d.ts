// What a page can call in cartmesh.js. Field names are those of the gateway's documentation (/docs).

/** An amount in minor units (cents; yen have none) and its ISO 4217 currency. */
export interface Money {
  amount: number
  currency: string
}

/** A product in a cart; `price` is for one piece. */
export interface CartLine {
  product_id: string
  quantity: number
  price: Money
  name?: string
  category?: string
  brand?: string
  image?: string
  url?: string
}

export interface View {
  product_id: string
  category?: string
  brand?: string
  price?: Money
  referrer?: string
  device?: string
}

export interface Search {
  query: string
  results?: number
}

/** The cart as it is now, whole; no lines: it was emptied. Without `cart_id` the script names the cart. */
export interface Cart {
  lines: CartLine[]
  cart_id?: string
}

export interface Checkout {
  cart_id?: string
}

/** An order that was placed. `cart_id` is the current cart's unless it is given; a new cart begins. */
export interface Order {
  order_id: string
  lines: CartLine[]
  total: Money
  cart_id?: string
  coupon?: string
}

/**
 * Who the visitor is, by their own account. `customer_id` is sent with every event from then on; it counts with the signature that
 * the shop's server made: HMAC-SHA256 of the id with its server key, in hexadecimal.
 */
export interface Customer {
  email: string
  customer_id?: string
  customer_signature?: string
  name?: string
  locale?: string
  time_zone?: string
}

/** A browser's subscription to notifications, as its `PushSubscription` has it; `cartmesh-push.js` reports it by itself. */
export interface Subscription {
  endpoint: string
  p256dh: string
  auth: string
}

/** A list of recommended products that came into view. `list_id` is the page's own name for this showing. */
export interface ShownList {
  list_id: string
  /** Where it stands, such as `cart`: 1 to 128 of A-Z a-z 0-9 _ and -. */
  place: string
  /** In the order shown, at most 100. */
  product_ids: string[]
  /** The position of the first of them; 1 unless it is given. */
  first?: number
  /** Whose choice they are, from scoring's answer; left out where no model chose them. */
  model_version?: string | null
}

/** A product of a shown list that was clicked; `position` counts from 1. */
export interface ClickedProduct {
  list_id: string
  place: string
  product_id: string
  position: number
}

/** An offer that the page shows itself. For its own card the script sends this by itself. */
export interface ShownOffer {
  offer_id: string
  cart_id: string
  channel?: string
}

/** An offer as the mesh sent it: `event.detail` of `cartmesh:offer`. All of it is plain text. */
export interface Offer {
  offer_id: string
  cart_id: string
  card: { title: string; body: string; action: string; url: string; coupon?: string | null }
}

/** A call as data: the method's name and its arguments. */
export type Call = [name: string, ...args: unknown[]]

/** No method ever throws. Those that make an event return its id; undefined where nothing may be sent. */
export interface Cartmesh {
  readonly version: number
  /** A product was looked at: its id, or more about it. */
  view(product: string | View): string | undefined
  /** The shop was searched. */
  search(query: string | Search): string | undefined
  /** The cart changed: its lines, or more about it. */
  cart(cart: CartLine[] | Cart): string | undefined
  /** The shopper went to the till. */
  checkout(checkout?: Checkout): string | undefined
  order(order: Order): string | undefined
  identify(customer: Customer): string | undefined
  /** The visitor allows or refuses this script. Refused: nothing is sent, and what was stored is removed. */
  consent(granted: boolean): void
  /** The visitor allows or forbids offers by a channel; the proof says where, and which words they agreed to. */
  consent(channel: string, granted: boolean, proof?: { where?: string; wording?: string }): string | undefined
  /** This browser takes notifications of the shop. */
  subscribed(subscription: Subscription): string | undefined
  /** Recommendations, or an offer of the page's own, came into view. */
  shown(what: ShownList | ShownOffer): string | undefined
  /** One of them was clicked. */
  clicked(what: ClickedProduct | ShownOffer): string | undefined
  /** The visitor signed out: who comes next is someone else. What is still to be sent is sent. */
  forget(): void
  /** Look at the address now and after each navigation; what `find` returns, if anything, was viewed. */
  follow(find: (location: Location) => string | View | null | undefined): void
  /** Send now what waits. */
  flush(): void
  /** Calls as data: `cartmesh.push(['view', 'sku-1'])`. Works before the script is there, and without it. */
  push(...calls: Call[]): void
  readonly visitor: string | null | undefined
  /** The gateway in use. */
  readonly region: string | undefined
  /** How many events wait to be sent. */
  readonly waiting: number
  /** How many events were dropped because over 1,000 were waiting. */
  readonly dropped: number
}

declare global {
  interface Window {
    /** The list that calls wait in, until the script is there. */
    cartmesh: Cartmesh | Call[]
  }
  interface DocumentEventMap {
    /** An offer is about to be shown; `preventDefault()` leaves it to the page. */
    'cartmesh:offer': CustomEvent<Offer>
  }
}
