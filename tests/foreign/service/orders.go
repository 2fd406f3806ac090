package main

import pb "acctbench.invalid/foreign/accountsv1"

// order is an open order: what it locks follows from these numbers alone.
type order struct {
	id, account uint64
	instrument  *pb.Instrument
	side        pb.Side
	limitTicks  int64
	leavesLots  int64
	feePpm      int32      // worst-case fee that a buy locks
	feeBasis    millionths // sum of notional * fee over its fills so far
	charged     int64      // fees so far
	locked      int64
}

func (o *order) chargesPerLot() bool { return o.instrument.FeeKind == pb.FeeKind_FEE_PER_LOT }

// asset is what it locks: a buy quote, a sell base.
func (o *order) asset() uint32 {
	if o.side == pb.Side_SELL {
		return o.instrument.BaseAssetId
	}
	return o.instrument.QuoteAssetId
}

// required is the lock that the order needs as it is now; false if it passes the bound.
func (o *order) required() (int64, bool) {
	if o.side == pb.Side_SELL {
		return product(o.leavesLots, o.instrument.BasePerLotMinor)
	}
	notional, ok := product(o.limitTicks, o.leavesLots, o.instrument.QuotePerTickLotMinor)
	if !ok {
		return 0, false
	}
	fee, ok := o.feesToCome(notional)
	if !ok || notional+fee > amountMax {
		return 0, false
	}
	return notional + fee, true
}

// feesToCome is what remains to be charged if the rest is filled for notional at the reserved fee.
func (o *order) feesToCome(notional int64) (int64, bool) {
	if o.chargesPerLot() {
		return product(o.leavesLots, o.instrument.TakerFeePerLotMinor)
	}
	rest, ok := share(notional, o.feePpm)
	return o.feeBasis.plus(rest).ceil() - o.charged, ok
}

// filled is the order after a fill, and the fee of it; the order itself is not changed.
func (o *order) filled(lots, notional int64, feePpm int32, feePerLot int64) (order, int64, bool) {
	next, fee, ok := *o, int64(0), true
	next.leavesLots -= lots
	if o.chargesPerLot() {
		fee = lots * feePerLot
	} else {
		var charge millionths
		charge, ok = share(notional, feePpm)
		next.feeBasis = o.feeBasis.plus(charge)
		fee = next.feeBasis.ceil() - o.charged
	}
	next.charged += fee
	if !ok {
		return next, 0, false
	}
	next.locked, ok = next.required()
	return next, fee, ok
}

// lock moves what an order locks by delta, from available or back.
func lock(o *order, delta int64) []posting {
	if delta == 0 {
		return nil
	}
	return []posting{
		{account: o.account, asset: o.asset(), bucket: available, delta: -delta, order: o.id},
		{account: o.account, asset: o.asset(), bucket: lockedOrders, delta: delta, order: o.id},
	}
}

func (c *core) closeOrder(kind pb.TxnKind, by cause, o *order) {
	c.post(kind, by, lock(o, -o.locked), c.accounts[o.account])
	delete(c.orders, o.id)
	c.closedOrders[o.id] = o.account
}

// amended is what the order would be with a new limit or quantity (0 keeps either), or why not.
func (c *core) amended(o *order, limitTicks, leavesLots int64) (order, pb.Code) {
	next := *o
	if limitTicks < 0 || leavesLots < 0 {
		return next, pb.Code_NON_POSITIVE
	}
	if limitTicks > 0 {
		next.limitTicks = limitTicks
	}
	if leavesLots > 0 {
		next.leavesLots = leavesLots
	}
	locked, ok := next.required()
	if !ok {
		return next, pb.Code_AMOUNT_OVERFLOW
	}
	if locked <= 0 {
		return next, pb.Code_NON_POSITIVE
	}
	if locked-o.locked > c.accounts[o.account].balance(o.asset())[available] {
		return next, pb.Code_INSUFFICIENT_AVAILABLE
	}
	next.locked = locked
	return next, pb.Code_OK
}

func (c *core) amend(by cause, o *order, next order) {
	before := *o
	*o = next
	if before.limitTicks != next.limitTicks || before.leavesLots != next.leavesLots {
		c.post(pb.TxnKind_TXN_AMEND, by, lock(o, next.locked-before.locked), c.accounts[o.account])
	}
}
