package main

import (
	"math/big"
	"math/rand"
	"testing"
)

// Two half fills cost what one whole fill costs: the contract's own example of why fees are summed
// before they are rounded.
func TestHalvesCostWhatTheWholeCosts(t *testing.T) {
	half, _ := share(500_000, 1)
	whole, _ := share(1_000_000, 1)
	if first := half.ceil(); first != 1 {
		t.Errorf("the first half costs %d, must be 1", first)
	}
	if both := half.plus(half).ceil(); both != 1 || both != whole.ceil() {
		t.Errorf("both halves cost %d, the whole %d, must be 1", both, whole.ceil())
	}
}

func TestRebateIsFloored(t *testing.T) {
	rebate, _ := share(1_500_000, -1)
	if got := rebate.ceil(); got != -1 {
		t.Errorf("a rebate of 1.5 is %d, must be -1", got)
	}
}

// Against arbitrary precision, over sums of shares of either sign.
func TestSumsAgreeWithArbitraryPrecision(t *testing.T) {
	chance := rand.New(rand.NewSource(1))
	for range 20_000 {
		sum, exact := millionths{}, new(big.Int)
		for range 1 + chance.Intn(4) {
			amount, ppm := chance.Int63n(1<<40), int32(chance.Intn(200_001)-100_000)
			part, ok := share(amount, ppm)
			if !ok {
				t.Fatalf("share(%d, %d) is too large", amount, ppm)
			}
			sum = sum.plus(part)
			exact.Add(exact, new(big.Int).Mul(big.NewInt(amount), big.NewInt(int64(ppm))))
		}
		// Euclidean division floors for a positive divisor; a remainder rounds up.
		quotient, rest := new(big.Int).DivMod(exact, big.NewInt(million), new(big.Int))
		want := quotient.Int64()
		if rest.Sign() > 0 {
			want++
		}
		if got := sum.ceil(); got != want {
			t.Fatalf("ceil is %d, must be %d", got, want)
		}
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	if _, ok := product(1<<31, 1<<31); ok {
		t.Error("2^62 passes the bound")
	}
	if _, ok := product(1<<40, 1<<40); ok {
		t.Error("2^80 passes the bound")
	}
	if _, ok := share(amountMax, 1<<31-1); ok {
		t.Error("2,147 times the largest amount passes the bound")
	}
	if got, ok := product(amountMax); !ok || got != amountMax {
		t.Error("the bound itself is allowed")
	}
}
