package main

import "math/bits"

// Amounts are int64 in an asset's smallest unit. The contract's formulas pass 64 bits on the way
// (notional times ppm), so products are made in 128 bits and refused where the result is too large.

const (
	amountMax = 1<<62 - 1 // an asset's supply; two of them still fit
	million   = 1_000_000
)

// product multiplies amounts that are not negative; false if the result passes amountMax.
func product(factors ...int64) (int64, bool) {
	result := uint64(1)
	for _, factor := range factors {
		high, low := bits.Mul64(result, uint64(factor))
		if high != 0 || low > amountMax {
			return 0, false
		}
		result = low
	}
	return int64(result), true
}

// millionths is an exact number of millionths of a unit: whole + rest / 1e6, rest in 0..999,999.
// It is what fees are summed in, so that rounding happens once over an order's life.
type millionths struct{ whole, rest int64 }

// share is amount (not negative) times ppm (of either sign); false if it passes amountMax.
func share(amount int64, ppm int32) (millionths, bool) {
	factor := uint64(ppm)
	if ppm < 0 {
		factor = uint64(-int64(ppm))
	}
	high, low := bits.Mul64(uint64(amount), factor)
	if high >= million {
		return millionths{}, false
	}
	quotient, rest := bits.Div64(high, low, million)
	if quotient > amountMax {
		return millionths{}, false
	}
	found := millionths{whole: int64(quotient), rest: int64(rest)}
	if ppm < 0 {
		found = found.negative()
	}
	return found, true
}

func (m millionths) negative() millionths {
	if m.rest == 0 {
		return millionths{whole: -m.whole}
	}
	return millionths{whole: -m.whole - 1, rest: million - m.rest}
}

func (m millionths) plus(other millionths) millionths {
	sum := millionths{whole: m.whole + other.whole, rest: m.rest + other.rest}
	if sum.rest >= million {
		sum.whole++
		sum.rest -= million
	}
	return sum
}

// ceil rounds towards plus infinity, a rebate as well as a fee.
func (m millionths) ceil() int64 {
	if m.rest > 0 {
		return m.whole + 1
	}
	return m.whole
}
