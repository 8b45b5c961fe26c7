// World: the land as a grid of dots on a Mercator projection, and where on it a time zone's city lies.

const WEST = -136
const EAST = 180
const NORTH = 72
const COLUMNS = 120

// One row per line, north first; a bit is a dot of land.
const LAND = [
  '01f0bf03ffe0000000067ffffff000',
  '01f8df81ffe0000400067ffffffc00',
  'f0f8e3c1ffc0001f0007ffffffffc0',
  'fe00f3c1ff80003f8077ffffffffff',
  'fffff1e1ff00007fcfffffffffffff',
  'fffff1f0fc00007fefffffffffffff',
  'fffff0f0f81c00ff8fffffffffffff',
  'ffffe0f0f81c01f79fffffffffffff',
  'ffffc060f00801effffffffffffffe',
  'ffff8000700003effffffffffffffe',
  'ffff0380300003cffffffffffffff8',
  'ffff0380000003e1fffffffffffe70',
  'ffff03b0000002c7ffffffffff80c0',
  '7fff83f00000614fffffffffff8180',
  '3fffe3f80000200fffffffffff0180',
  '3ffffbf80000a1ffffffffffff0180',
  '1ffffffc0000b3ffffffffffff8100',
  '1ffffffe00003fffffffffffff8000',
  '07ffffe200001fffffffffffff8000',
  '07ffffe200003fffffffffffff0000',
  '07fffff800001ffebcffffffff0000',
  '07ffffe000001d3c3cfffffffe6000',
  '0fffff800000f8dc1cfffffff84000',
  '07fffe000000f01bfcffffffb04000',
  '07fffe000000e00bfeffffff888000',
  '03fffe0000000f007fffffff8b8000',
  '03fffc0000007f007fffffff860000',
  '01fff8000000ffec7fffffffc00000',
  '00ff08000001ffff7dffffffc00000',
  '003e00000003fffffeffffff800000',
  '005e00000003ffffbfc7ffff800000',
  '001e1c000007ffffffc3fdfe000000',
  '000e40800007ffffdfc1f1f0000000',
  '0003c0000007ffffcf01e1f0400000',
  '000070000007ffffec00c078400000',
  '000010800003fffff000c058200000',
  '000009f80003fffffe004040200000',
  '000003fc0000fffffc000040200000',
  '000003ff000001fffc000021800000',
  '000003ff000001fff8000047000000',
  '000007ffc00001fff0000027440000',
  '000007fff80000ffe000001103c000',
  '000007fffc0000ffc000000400f000',
  '000003fffc00007fe0000000003000',
  '000003fff800007fe0000000000000',
  '000001fff80000ffe2000000066000',
  '000000fff80000ffc60000003f6000',
  '0000007ff80000ff8c0000007fe000',
  '0000007ff000007f8c000001fff000',
  '0000007fe000007f8c000001fff800',
  '0000007f8000003f00000001fffc00',
  '0000007f8000003f00000001fffc00',
  '000000ff0000003e00000001fffc00',
  '000000ff0000001c00000001c3f800',
  '000000fc000000000000000000f804',
  '000000f80000000000000000007002',
  '000000f00000000000000000000002',
  '000000e00000000000000000001004',
  '000000e00000000000000000000008',
  '000001e00000000000000000000018',
  '000001c00000000000000000000000',
  '000001c00000000000000000000000',
]
const STEP = ((EAST - WEST) * Math.PI) / 180 / COLUMNS
const mercator = (latitude) => Math.log(Math.tan(Math.PI / 4 + (latitude * Math.PI) / 360))

export const ASPECT = COLUMNS / LAND.length

// Where a place is drawn, as shares of the map's width and height.
export function project([latitude, longitude]) {
  const turned = longitude < WEST - 20 ? longitude + 360 : longitude
  return [(turned - WEST) / (EAST - WEST), (mercator(NORTH) - mercator(latitude)) / STEP / LAND.length]
}

// A path of points, each a line of no length: round ends make it a dot.
export function land(width) {
  const dot = width / COLUMNS
  const points = LAND.flatMap((row, y) =>
    [...BigInt(`0x${row}`).toString(2).padStart(COLUMNS, '0')].flatMap((bit, x) =>
      bit === '1' ? `M${((x + 0.5) * dot).toFixed(1)} ${((y + 0.5) * dot).toFixed(1)}h0` : [],
    ),
  )
  return points.join('')
}

// `places` are lines "Zone/Name latitude longitude". A zone that is not there lies where its clock says.
export function atlas(places) {
  const known = new Map(places.split('|').map((line) => [line.split(' ')[0], line.split(' ').slice(1).map(Number)]))
  return (zone) => known.get(zone) ?? [20, 15 * hoursAhead(zone)]
}

function hoursAhead(zone) {
  try {
    const parts = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(0)
    const offset = /([+-])(\d+):?(\d*)/.exec(parts.find((part) => part.type === 'timeZoneName').value)
    return offset ? Number(`${offset[1]}1`) * (Number(offset[2]) + Number(offset[3] || 0) / 60) : 0
  } catch {
    return 0
  }
}
