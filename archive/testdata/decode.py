"""A decoder of the .effml format, version 1, written from docs/format.md and nothing else, in plain Python.

It exists to show that the document is complete; TestDocument feeds it. Reads a list of cases as JSON from standard
input: {"kind": "coder"|"mix"|"values"|"file", ...}; prints one line of JSON a case.
"""
import json, struct, sys
from fractions import Fraction

PRIME = open(sys.argv[1], 'rb').read()
M32, M64 = (1 << 32) - 1, (1 << 64) - 1


class Bytes:
    def __init__(self, b): self.b, self.i = b, 0
    def take(self, n):
        assert self.i + n <= len(self.b), 'cut off'
        self.i += n
        return self.b[self.i - n:self.i]
    def u8(self): return self.take(1)[0]
    def u32(self): return struct.unpack('<I', self.take(4))[0]
    def uvarint(self):
        v = s = 0
        while True:
            c = self.u8()
            v |= (c & 127) << s
            s += 7
            if c < 128: return v
    def zigzag(self):
        v = self.uvarint()
        return v >> 1 if v & 1 == 0 else -(v >> 1) - 1
    def string(self): return self.take(self.uvarint())
    def strings(self): return [self.string() for _ in range(self.uvarint())]
    def rest(self): return self.take(len(self.b) - self.i)
    def end(self): return self.i == len(self.b)
    def fields(self):
        while not self.end():
            key = self.uvarint()
            yield key >> 1, key & 1, self.string()


def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8): i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
            table.append(i)
    c = M32
    for b in data: c = c >> 8 ^ table[(c ^ b) & 255]
    return c ^ M32


# §9 bits
class Bits:
    def __init__(self, b): self.v, self.n, self.pos = int.from_bytes(b, 'little'), 8 * len(b), 0
    def get(self, w):
        assert self.pos + w <= self.n, 'bits end early'
        v = self.v >> self.pos & ((1 << w) - 1)
        self.pos += w
        return v
    def gamma(self):
        k = 0
        while self.get(1) == 0: k += 1
        return (1 << k) + self.get(k) - 1
    def close(self):
        n = (self.pos + 7) // 8
        assert self.v >> self.pos & ((1 << (8 * n - self.pos)) - 1) == 0, 'padding'
        return n


def log2up(levels): return (levels - 1).bit_length()


# §10
def code_table(b):
    used, length, token, down = [], b.get(4), 0, True
    total = Fraction(0)
    while True:
        assert 1 <= length <= 15
        used.append((length, token))
        total += Fraction(1, 1 << length)
        assert total <= 1
        if total == 1: break
        token += 1
        gapped = False
        while True:
            if b.get(1) == 0: break
            if b.get(1) == 0:
                length += -1 if down else 1
                break
            if b.get(1) == 0:
                down = not down
                length += -1 if down else 1
                break
            if b.get(1) == 0:
                assert not gapped
                token, gapped = token + b.gamma() + 1, True
                continue
            new = b.get(4)
            down = new < length
            length = new
            break
    words, code, before = {}, 0, 0
    for length, token in sorted(used):
        code <<= length - before
        before = length
        words[length, code] = token
        code += 1
    return words


def streams(b, words, n, s):
    lengths = []
    if s:
        x = b.get(6)
        lengths = [b.get(x) for _ in range((1 << s) - 1)]
    out, part, end = [], -(-n >> s), b.pos
    for i in range(1 << s):
        for _ in range(min(part, max(n - i * part, 0))):
            length = code = 0
            while (length, code) not in words:
                code, length = code << 1 | b.get(1), length + 1
                assert length <= 15
            out.append(words[length, code])
        if i < len(lengths):
            end += lengths[i]
            assert b.pos == end, 'stream'
    return out


def huffman(data, n, lo, hi):
    """Returns the symbols and the bytes taken."""
    if n == 0 or lo == hi: return [lo] * n, 0
    b, w = Bits(data), log2up(hi - lo + 1)
    form = b.get(2)
    if form == 0: out = [lo + b.get(w)] * n
    elif form == 1: out = [lo + b.get(w) for _ in range(n)]
    elif form == 2:
        s, base = b.get(2), b.gamma()
        out = [lo + base + t for t in streams(b, code_table(b), n, s)]
    elif b.get(1) == 0:
        s, base, levels, least = b.get(2), b.gamma(), b.get(6) + 1, b.gamma()
        out = []
        for t in streams(b, code_table(b), n // 2, s):
            out += [lo + base + (t + least) // levels, lo + base + (t + least) % levels]
        if n & 1: out.append(lo + base + b.get(log2up(levels)))
    else:
        s, which, least = b.get(2), b.get(2), b.gamma()
        e, t = [(4, 1), (5, 2), (7, 2)][which]
        centre, out = min(max(0, lo), hi), []
        for token in streams(b, code_table(b), n, s):
            token += least
            if token < 1 << e: v, extra = token, 0
            else:
                token -= 1 << e
                m = e + (token >> t)
                assert m <= 31
                extra = m - t
                v = ((1 << t) + token % (1 << t)) << extra
            out.append((v, extra))
        for i, (v, extra) in enumerate(out):
            v += b.get(extra)
            out[i] = centre + v if centre == lo else centre - v if centre == hi else v // 2 if v % 2 == 0 else -(v // 2) - 1
    assert all(lo <= v <= hi for v in out)
    return out, b.close()


# §11
def relative(data, n, lo, hi):
    r = Bytes(data)
    entries = r.uvarint()
    if entries == 0:
        assert r.end()
        return [0] * n
    width = r.u8()
    part = r.take(r.uvarint())
    gaps, used = huffman(part, entries, 0, (1 << width) - 1)
    assert used == len(part)
    part = r.rest()
    codes, used = huffman(part, entries, min(lo, 0), max(hi, 0))
    assert used == len(part)
    out = []
    for g, c in zip(gaps, codes): out += [0] * g + [c]
    assert len(out) <= n
    return out + [0] * (n - len(out))


# §12.1
class Range:
    def __init__(self, data):
        self.data, self.taken, self.width, self.code = data, 0, M64, 0
        self.more(), self.more()
    def more(self):
        for _ in range(4):
            self.code = (self.code << 8 | (self.data[self.taken] if self.taken < len(self.data) else 0)) & M64
            self.taken += 1
    def bit(self, p):
        bound = (self.width >> 16) * p
        if self.code < bound: self.width, b = bound, 1
        else: self.code, self.width, b = self.code - bound, self.width - bound, 0
        if self.width < 1 << 32:
            self.width = self.width << 32 & M64
            self.more()
        return b
    def close(self): assert self.taken - 8 + (72 - self.width.bit_length()) // 8 == len(self.data), 'length'


# §12.2
ANCHORS = [int(x) for x in '''32768 38179 43303 47911 51865 55124 57724 59743 61278 62428 63279 63903 64357 64687 64925 65097 65221
    65310 65374 65420 65453 65476 65493 65505 65514 65520 65525 65528 65530 65532 65533 65534 65534'''.split()]


def squash(d):
    d = min(max(d, -2047), 2047)
    if d < 0: return 65536 - squash(-d)
    i, f = d >> 6, d % 64
    return ANCHORS[i] * (64 - f) + ANCHORS[i + 1] * f >> 6


STRETCH, d = [], -2047
for p in range(4096):
    while d < 2047 and squash(d) < 16 * p + 8: d += 1
    STRETCH.append(d)


class Adaptive:
    __slots__ = ('p', 'n')
    def __init__(self, p, n): self.p, self.n = 64 * p, n
    def stretch(self): return STRETCH[self.p >> 10]
    def prob(self): return min(max(self.p >> 6, 32), 65504)
    def update(self, b, limit):
        self.p += ((b << 22) - self.p) * (131072 // (2 * self.n + 3)) >> 16
        if self.n < limit: self.n += 1


# §12.3
LIMITS = [(1023, 128), (32, 512), (512, 32), (1023, 1023)]
RATIOS = [int(x) for x in '''0 13520 24251 32768 39528 44893 49152 52532 55215 57344 59034 60375 61440 62285 62956 63488
    63911 64246 64512 64723 64891 65024 65130 65213 65280 65333 65375 65408 65434 65455 65472 65485'''.split()]


def bucket(e):
    if e < 2: return e
    n = e.bit_length()
    return min(2 * n - 2 + (e >> (n - 2) & 1), 23)


def context(data, n, shape, lo, hi):
    sparse, rates, ratio, z = data[0] & 1, data[0] >> 1 & 3, data[0] >> 3, data[1]
    rc = Range(data[2:])
    W = 1
    for dim in shape[1:]: W *= max(dim, 1)
    if len(shape) < 2 or W >= n: W = n
    h, r = 256 * z + 128, [RATIOS[ratio]]
    while len(r) < 34: r.append(r[-1] * r[-1] >> 16)
    def start(p): return Adaptive(min(max(p, 64), 65472), 8)
    first = [h if b in (0, 17, 18, 19) else 4 * h if b == 16 else r[b - 1] for b in range(20)]
    near_p = [[start(f) for _ in range(24)] for f in first]
    scale_p = [[start(f) for _ in range(24)] for f in first]
    weights = [[32768, 32768] for _ in range(20)]
    mant, sign = {}, [start(32768) for _ in range(27)]
    m = 256 * h // (65536 - r[0])
    A, R, C, T = 4 * m, m, [m] * W, [4] * W
    out, mags = [], []
    j = a = b = c = before = before2 = 0

    def mixed(bin, near, scale):
        p1, p2, w = near_p[bin][near], scale_p[bin][scale], weights[bin]
        s, t = p1.stretch(), p2.stretch()
        p = squash((s * w[0] + t * w[1]) >> 16)
        bit = rc.bit(p)
        e = 65536 * bit - p
        w[0] += (s * e + 8192) >> 14
        w[1] += (t * e + 8192) >> 14
        p1.update(bit, LIMITS[rates][0])
        p2.update(bit, LIMITS[rates][1])
        return bit

    def plain(p):
        bit = rc.bit(p.prob())
        p.update(bit, 512)
        return bit

    def scale_context(): return bucket(R + C[j] >> 5)
    def near_context(): return bucket(8 * a + 4 * b + 2 * c)
    def sgn(s): return 0 if s == 0 else 1 if s > 0 else 2

    def symbol(bin):
        near, scale = near_context(), scale_context()
        if bin != 16 and not mixed(bin, near, scale): return 0
        size, most = 1, max(abs(lo), abs(hi)).bit_length()
        while size < most and mixed(min(size, 15), near, scale): size += 1
        v = 1
        for _ in range(size - 1):
            if v < 16:
                x = size - 1 - v.bit_length()
                if (size, v) not in mant: mant[size, v] = start((r[x] << 16) // (65536 + r[x]))
                v = v << 1 | plain(mant[size, v])
            else: v = v << 1 | rc.bit(32768)
        if v > hi: return -v
        if -v < lo: return v
        return -v if plain(sign[sgn(before) + 3 * sgn(before2) + 9 * (T[j] // 3)]) else v

    def advance(s):
        nonlocal R, A, j, a, b, c, before, before2
        v = min(abs(s), 4095)
        out.append(s), mags.append(v)
        R += 32 * v - (R >> 3)
        A += 16 * v - (A >> 6)
        C[j] += 32 * v - (C[j] >> 3)
        if s > 0 and T[j] < 8: T[j] += 1
        if s < 0 and T[j] > 0: T[j] -= 1
        a, b, c, before, before2, j = v, a, b, s, before, j + 1
        if j == W: j = a = b = c = before = before2 = 0; R = A >> 2

    while len(out) < n:
        if not sparse:
            advance(symbol(0))
            continue
        i = len(out)
        size = min(4, n - i)
        if not mixed(16, bucket(4 * sum(mags[max(i - 4, 0):i])), scale_context()):
            for _ in range(size): advance(0)
            continue
        seen = False
        for k in range(size):
            s = symbol(0 if seen else 16 + size - 1 - k)
            seen = seen or s != 0
            advance(s)
    rc.close()
    return out


def coder(id, data, n, shape, lo, hi):
    if n == 0: return []
    if id == 0:
        b = Bits(data)
        out = [lo + b.get(log2up(hi - lo + 1)) for _ in range(n)]
        assert b.close() == len(data)
    elif id == 1:
        out, used = huffman(data, n, lo, hi)
        assert used == len(data)
    else: out = relative(data, n, lo, hi) if id == 2 else context(data, n, shape, lo, hi)
    assert all(lo <= v <= hi for v in out)
    return out


# §13
class Matcher:
    def __init__(self, least, total):
        self.least, self.H = least, min(max(total.bit_length(), 6), 18)
        self.head, self.at, self.long, self.miss, self.byte, self.used = {}, 0, 0, 0, None, None
        self.maps = [[Adaptive(65536 - 65536 // (2 * l + 3) if k < 2 else 65536 - 65536 // (l + 3), 6) for k in range(16)] for l in range(32)]
    def append(self, past):
        n = len(past)
        if self.at > 0:
            self.miss = self.miss << 1 & M32
            self.long += 1
            if past[self.at] != past[-1]: self.miss, self.long = self.miss | 1, 0
            self.at += 1
            if bin(self.miss & 0xffff).count('1') > 8: self.at = self.long = 0
        if n >= self.least:
            h = 0
            for x in past[n - self.least:]:
                h = (h + x + 1) * 0x2F0B4C47 & M32
                h ^= h >> 15
            h = (h * 0x9E3779B1 & M32) >> (32 - self.H)
            t = self.head.get(h, 0)
            if self.long < self.least and t:
                k = 0
                while k < 64 and k < t and past[t - 1 - k] == past[n - 1 - k]: k += 1
                if k >= self.least: self.at, self.long, self.miss = t, k, 0
            self.head[h] = n
        self.byte = past[self.at] if self.at > 0 else None
    def input(self, c0, k):
        self.used = None
        if self.byte is None or (self.byte | 256) >> (8 - k) != c0: return 0
        l = self.long if self.long < 16 else min(16 + (self.long - 16 >> 2), 31)
        self.used = self.maps[l][2 * (self.miss % 8) + (k == 0)]
        self.bit = self.byte >> (7 - k) & 1
        return self.used.stretch() if self.bit else -self.used.stretch()
    def update(self, b):
        if self.used: self.used.update(int(b == self.bit), 1023)


def mix(data, n, stride):
    if n == 0: return b''
    text = PRIME if stride == 0 else b''
    total = n + len(text)
    L = min(max((8 * total).bit_length(), 8), 19)
    table = {}
    maps = [[Adaptive(min(max((327680 * (s & 15) + 65536) // (5 * ((s >> 4) + (s & 15)) + 2), 64), 65472), 6) for s in range(256)] for _ in range(8)]
    order0, order1 = [Adaptive(32768, 0) for _ in range(256)], {}
    by_match, by_bits = [[6500] * 12 for _ in range(32)], [[6500] * 12 for _ in range(256)]
    refined = [[squash(128 * (k - 16)) for k in range(33)] for _ in range(256)]
    match = [Matcher(6, total), Matcher(28, total)]
    past, word, before, kinds = bytearray(), 0, 0, 0
    rc = Range(data)

    def find(x):
        h = x * 0x9E3779B97F4A7C15 & M64
        h ^= h >> 29
        h = h * 0xBF58476D1CE4E5B9 & M64
        k, check = h >> (64 - L), h >> 8 & 255
        a, b = table.setdefault(k, bytearray(16)), table.setdefault(k ^ 1, bytearray(16))
        if a[0] == check: return a
        if b[0] == check: return b
        if (a[1] >> 4) + (a[1] & 15) > (b[1] >> 4) + (b[1] & 15): a = b
        a[:] = bytes([check]) + bytes(15)
        return a

    def contexts():
        c = int.from_bytes(past[-8:], 'big')
        last = c & 255
        if stride == 0:
            ctx = [c & 0xff, c & 0xffff, c & 0xffffff, c & 0xffffffff, c & (1 << 48) - 1, word << 8 | last, kinds & (1 << 48) - 1,
                   (before << 24 & ~(255 << 56)) ^ (word << 8 | last)]
        else:
            def back(k): return past[-k] if k <= len(past) else 0
            col, u, u2, u3, m = len(past) % stride, back(stride), back(2 * stride), back(stride + 1), c >> 8 & 255
            ctx = [col, col << 8 | u, col << 16 | u << 8 | u2, col << 8 | last, col << 16 | last << 8 | u, col << 16 | last << 8 | m,
                   c & 0xffffff, u << 16 | u3 << 8 | last]
        return [x | i + 1 << 56 for i, x in enumerate(ctx)]

    def step(ctx, known):
        slots = [find(x) for x in ctx]
        c0 = 1
        for k in range(8):
            if k == 4: slots = [find(x ^ c0 << 48) for x in ctx]
            node = c0 if k < 4 else c0 % (1 << (k - 4)) + (1 << (k - 4))
            o1 = order1.setdefault((past[-1] if past else 0, c0), Adaptive(32768, 0))
            inputs = [maps[i][s[node]].stretch() for i, s in enumerate(slots)]
            inputs += [match[0].input(c0, k), match[1].input(c0, k), order0[c0].stretch(), o1.stretch()]
            cl = min(match[0].long.bit_length(), 7) if match[0].used else 0
            co = 0 if not match[1].used else 1 if match[1].long == 0 else 2 if match[1].long < 16 else 3
            sets = [by_match[cl * 4 + co], by_bits[c0]]
            ds = [min(max(sum(x * w for x, w in zip(inputs, ws)) >> 16, -2047), 2047) for ws in sets]
            d = ds[0] + ds[1] >> 1
            i, f = d + 2048 >> 7, (d + 2048) % 128
            r = refined[c0]
            q = r[i] * (128 - f) + r[i + 1] * f >> 7
            p = max(squash(d) + q >> 1, 1)
            b = rc.bit(p) if known is None else known >> (7 - k) & 1
            for ws, dd in zip(sets, ds):
                E = (65536 * b - squash(dd)) * 20 >> 4
                for x in range(12): ws[x] += inputs[x] * E + 8192 >> 14
            i += f >= 64
            r[i] += 65535 * b - r[i] >> 6
            for x, s in enumerate(slots):
                maps[x][s[node]].update(b, 255)
                z = [s[node] >> 4, s[node] & 15]
                z[b] = min(z[b] + 1, 15)
                if z[1 - b] > 2: z[1 - b] = z[1 - b].bit_length()
                s[node] = z[0] << 4 | z[1]
            match[0].update(b), match[1].update(b)
            order0[c0].update(b, 1023), o1.update(b, 255)
            c0 = c0 << 1 | b
        return c0 & 255

    for i in range(total):
        x = step(contexts(), text[i] if i < len(text) else None)
        past.append(x)
        ch = chr(x)
        kind = 1 if '0' <= ch <= '9' else 2 if ch >= 'a' else 3 if ch >= 'A' else 4 + x % 4 if x >= 32 else 8 if x == 10 else 9 + x % 4
        kinds = (16 * kinds + kind) & M64
        if 'a' <= ch <= 'z' or 'A' <= ch <= 'Z' or x >= 128: word = (word + x) * 0x2F0B4C47 & M32
        elif word: before, word = word, 0
        match[0].append(past), match[1].append(past)
    rc.close()
    return bytes(past[len(text):])


# §14
def symbols(r, n):
    id, lo = r.u8(), r.zigzag()
    return coder(id, rest_of(r), n, [n], lo, lo + r.span)


def rest_of(r):
    r.span = r.uvarint()
    return r.rest()


def values_of(r, n, w, is_float):
    method = r.u8()
    return one_chunk(method, Bytes(r.rest()), n, w, is_float)


def one_chunk(method, r, n, w, is_float):
    bits = 8 * w
    def join(list): return b''.join((x % (1 << bits)).to_bytes(w, 'little') for x in list)
    if method == 0: out = r.take(n * w)
    elif method == 1: out = bytes(n * w)
    elif method == 2: out = r.take(w) * n
    elif method == 3:
        top, drop = r.u8(), r.u8()
        k = bits - top - drop
        b = Bits(r.take((n * k + 7) // 8))
        rests = [b.get(k) for _ in range(n)]
        greatest = r.uvarint()
        if r.b[r.i] == 255:
            r.u8()
            g, part = r.uvarint(), r.rest()
            keys, used = huffman(part, n, 0, g)
            assert used == len(part)
        else: keys = symbols(r, n)
        out = join(x >> (k - 1) << (bits - 1) | greatest - key << (bits - 1 - top) | (x & (1 << k - 1) - 1) << drop for x, key in zip(rests, keys))
    elif method == 4:
        K, origin = r.uvarint(), r.uvarint()
        vals = values_of(Bytes(r.string()), K, w, is_float)
        out = b''.join(vals[(s + origin) * w:(s + origin + 1) * w] for s in symbols(r, n))
    elif method == 5:
        step = struct.unpack('<f', r.take(4))[0] if r.u8() == 4 else struct.unpack('<d', r.take(8))[0]
        out = b''.join(struct.pack('<f', step * s) for s in symbols(r, n))
    elif method == 6:
        marks = symbols(Bytes(r.string()), n)
        assert all(s in (0, 1) or s == -1 and is_float and w > 1 for s in marks)
        vals, out = values_of(r, marks.count(1), w, is_float), b''
        for s in marks:
            out += vals[:w] if s > 0 else bytes(w) if s == 0 else bytes(w - 1) + b'\x80'
            if s > 0: vals = vals[w:]
    elif method == 7:
        mode = r.uvarint()
        out = join(mode + s for s in symbols(r, n))
    elif method == 8:
        v, list = 0, []
        for s in symbols(r, n):
            v += s
            list.append(v)
        out = join(list)
    elif method == 9: out = mix(r.rest(), n * w, w)
    else: raise ValueError('method %d' % method)
    assert r.end()
    return out


def values(data, n, w, is_float):
    r, out = Bytes(data), b''
    while len(out) < n * w:
        method = r.u8()
        part = r.rest() if method & 128 else r.string()
        out += one_chunk(method & 127, Bytes(part), min(n - len(out) // w, 1 << 16), w, is_float)
    assert r.end()
    return out


# §2-§7
WIDTHS = {1: (4, True), 10: (2, True), 16: (2, True), 11: (8, True), 14: (4, True), 15: (8, True), 5: (2, False), 4: (2, False),
          6: (4, False), 12: (4, False), 7: (8, False), 13: (8, False)}
BITS = {1: 32, 10: 16, 16: 16, 11: 64, 14: 64, 15: 128, 5: 16, 4: 16, 6: 32, 12: 32, 7: 64, 13: 64, 21: 4, 22: 4, 23: 4, 25: 2, 26: 2, 27: 6, 28: 6}


def f32(x): return struct.unpack('<f', struct.pack('<f', x))[0]


def to_type(x, type):
    if type == 1: return struct.pack('<f', x)
    if type == 10: return struct.pack('<e', x)
    if type == 11: return struct.pack('<d', x)
    v = struct.unpack('<I', struct.pack('<f', x))[0]  # bfloat16
    return struct.pack('<H', (v + 0x7fff + (v >> 16 & 1)) >> 16)


def read(path):
    data = open(path, 'rb').read()
    assert data[:8] == b'\x89EFFML\r\n' and data[8] == 1 and data[-4:] == b'LMFE'
    size, dirsum, filesum = struct.unpack('<III', data[-16:-4])
    dir = data[-16 - size:-16]
    assert crc32c(data[:9] + dir + data[-16:-12]) == dirsum and crc32c(data[:-8]) == filesum
    r, at, sections = Bytes(dir), 9, {}
    while not r.end():
        key, length, coding = r.uvarint(), r.uvarint(), r.u8()
        n = r.uvarint() if coding else length
        sum = r.u32()
        part = data[at:at + length]
        if coding & 15 == 1: part = mix(part, n, coding >> 4)
        else: assert coding == 0
        assert key >> 1 == 1 or crc32c(part) == sum
        sections[key >> 1], at = part, at + length
    assert at == len(data) - 16 - size
    tables = []
    for t in Bytes(sections.get(4, b'\0')).strings():
        t = dict((id, Bytes(p)) for id, _, p in Bytes(t).fields())
        table = {'group': t[4].uvarint() if 4 in t else 0}
        if 1 in t: table['steps'] = [x[0] for x in struct.iter_unpack('<f', t[1].rest())]
        else:
            sizes = [t[2].uvarint() for _ in range(t[2].uvarint())]
            table['levels'] = [[struct.unpack('<f', t[2].take(4))[0] for _ in range(k)] for k in sizes]
            table['origins'] = [t[3].zigzag() for _ in sizes] if 3 in t else [0] * len(sizes)
        tables.append(table)
    r, tensors, at, block = Bytes(sections[3]), [], 0, 0
    for _ in range(r.uvarint()):
        f = dict((id, p) for id, _, p in Bytes(r.string()).fields())
        def num(id, default): return Bytes(f[id]).uvarint() if id in f else default
        def nums(id):
            b, list = Bytes(f.get(id, b'')), []
            while not b.end(): list.append(b.uvarint())
            return list
        if 10 in f:
            tensors.append(tensors[num(10, 0)])
            continue
        type, dims, unit, count = num(2, 1), nums(3), num(6, 1 << 18), 1
        for d in dims: count *= d
        w, is_float = WIDTHS.get(type, (1, False))
        total = num(5, 0) if type == 8 else 0 if type == 0 else (count * BITS.get(type, 8) + 7) // 8
        units, row, out = total // w, 1, b''
        for d in dims[1:]: row *= d
        lengths, coders = nums(7), f.get(8, b'')
        assert len(lengths) == -(-units // unit)
        for k, length in enumerate(lengths):
            n, part = min(unit, units - k * unit), sections[1][at:at + length]
            at += length
            if 9 in f:
                q = Bytes(f[9])
                table, lo, hi = tables[q.uvarint()], q.zigzag(), q.zigzag()
                shape = [n // row, row] if row > 1 and n % row == 0 and k * unit % row == 0 else [n]
                got = b''
                for i, c in enumerate(coder(coders[k] if len(coders) > 1 else coders[0], part, n, shape, lo, hi)):
                    g = (k * unit + i) // table['group'] if table['group'] else 0
                    got += to_type(f32(table['steps'][g] * c) if 'steps' in table else table['levels'][g][c + table['origins'][g]], type)
            else: got = values(part, n, w, is_float)
            assert crc32c(got) == struct.unpack_from('<I', sections[5], 4 * block)[0], 'block checksum'
            block, out = block + 1, out + got
        tensors.append(out)
    assert at == len(sections.get(1, b'')) and 4 * block == len(sections.get(5, b''))
    model = [p for id, _, p in Bytes(sections[2]).fields() if id == 2][0]
    return {'tensors': [t.hex() for t in tensors], 'model': model.hex()}


for case in json.load(sys.stdin):
    kind = case['kind']
    if kind == 'file': out = read(case['path'])
    elif kind == 'coder': out = coder(case['id'], bytes.fromhex(case['data']), case['n'], case['shape'], case['min'], case['max'])
    elif kind == 'mix': out = mix(bytes.fromhex(case['data']), case['n'], case['stride']).hex()
    else: out = values(bytes.fromhex(case['data']), case['n'], case['width'], case['float']).hex()
    print(json.dumps(out))
