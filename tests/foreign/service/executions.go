package main

import (
	"fmt"

	pb "acctbench.invalid/foreign/accountsv1"
	"google.golang.org/protobuf/proto"
)

const reorderMaxCount = 64

// sourceKey names one gap-free stream of executions: who sends, and of which instrument.
type sourceKey struct {
	src        string
	instrument uint32
}

type source struct {
	lastSeq uint64
	waiting map[uint64]execution // by seq, until the gap before them is filled
}

type execution struct {
	event     *pb.ExecutionEvent
	value     []byte
	partition int32
	offset    int64
}

// executionCause is where a record was, and which of its source's it is.
type executionCause struct {
	partition int32
	offset    int64
	seq       uint64
	sourceKey
	id uint64 // of the match, or of the order event
}

// consume takes one record of me.executions.v1: applied in the order of its source, each once.
func (c *core) consume(partition int32, offset int64, src string, value []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.nextOffsets[partition] = offset + 1
	event := new(pb.ExecutionEvent)
	if proto.Unmarshal(value, event) != nil || event.Seq == 0 || event.E == nil {
		c.buryRecord(value, "not an ExecutionEvent with a seq and an event")
		return
	}
	if src == "" {
		c.buryRecord(value, "the header src is missing")
		return
	}
	key := sourceKey{src, event.InstrumentId}
	from := c.sources[key]
	if from == nil {
		from = &source{waiting: map[uint64]execution{}}
		c.sources[key] = from
	}
	_, isWaiting := from.waiting[event.Seq]
	record := execution{event, value, partition, offset}
	switch {
	case event.Seq <= from.lastSeq || isWaiting:
		c.duplicateCount++
	case event.Seq == from.lastSeq+1:
		c.applyInOrder(key, from, record)
	case len(from.waiting) < reorderMaxCount:
		from.waiting[event.Seq] = record
	default:
		c.buryRecord(value, fmt.Sprintf(
			"gap: seq %d of src %s, instrument %d is missing and %d records wait for it",
			from.lastSeq+1, src, event.InstrumentId, reorderMaxCount))
	}
}

func (c *core) applyInOrder(key sourceKey, from *source, record execution) {
	for {
		event := record.event
		from.lastSeq = event.Seq
		where := &executionCause{
			partition: record.partition, offset: record.offset, seq: event.Seq, sourceKey: key,
		}
		var reason string
		if match := event.GetMatch(); match != nil {
			where.id = match.MatchId
			reason = c.applyMatch(event.InstrumentId, match, cause{execution: where})
		} else {
			where.id = event.GetOrder().EventId
			reason = c.applyOrderEvent(event.InstrumentId, event.GetOrder(), cause{execution: where})
		}
		if reason != "" {
			c.buryRecord(record.value, reason)
		}
		next, ok := from.waiting[from.lastSeq+1]
		if !ok {
			return
		}
		delete(from.waiting, from.lastSeq+1)
		record = next
	}
}

func (c *core) buryRecord(value []byte, reason string) {
	c.deadLetterCount++
	c.bury(value, reason)
}

// applyOrderEvent does what became of an order at the engine; an end told twice changes nothing.
func (c *core) applyOrderEvent(instrument uint32, event *pb.OrderEvent, by cause) string {
	o := c.orders[event.OrderId]
	if o == nil {
		if owner, was := c.closedOrders[event.OrderId]; was && owner == event.AccountId {
			return ""
		}
		return fmt.Sprintf("ORDER_UNKNOWN: order %d", event.OrderId)
	}
	if o.account != event.AccountId || o.instrument.InstrumentId != instrument {
		return fmt.Sprintf("ORDER_UNKNOWN: order %d is another's", event.OrderId)
	}
	switch event.Kind {
	case pb.OrderEvent_REJECTED, pb.OrderEvent_CANCELLED, pb.OrderEvent_DONE:
		c.closeOrder(pb.TxnKind_TXN_RELEASE, by, o)
	case pb.OrderEvent_EXPIRED:
		c.closeOrder(pb.TxnKind_TXN_EXPIRE, by, o)
	case pb.OrderEvent_AMENDED:
		next, code := c.amended(o, event.PriceTicks, event.LeavesLots)
		if code != pb.Code_OK {
			return fmt.Sprintf("%s: amendment of order %d", code, event.OrderId)
		}
		c.amend(by, o, next)
	}
	return ""
}

// legFill is one leg of a match, worked out before anything is changed.
type legFill struct {
	order *order
	next  order
	fee   int64
}

// quote is the change of its account's available quote.
func (l legFill) quote(notional int64) int64 {
	if l.order.side == pb.Side_SELL {
		return notional - l.fee
	}
	return l.order.locked - l.next.locked - notional - l.fee
}

// applyMatch does both legs in one transaction, or neither; why not, if so.
func (c *core) applyMatch(id uint32, match *pb.MatchEvent, by cause) string {
	instrument, lots := c.instruments[id], match.QtyLots
	if instrument == nil {
		return fmt.Sprintf("INSTRUMENT_UNKNOWN: instrument %d", id)
	}
	if match.PriceTicks <= 0 || lots <= 0 {
		return "NON_POSITIVE: a match has a price and a quantity"
	}
	notional, ok := product(match.PriceTicks, lots, instrument.QuotePerTickLotMinor)
	if !ok {
		return "AMOUNT_OVERFLOW: the notional passes 2^62"
	}
	if match.GetTaker().GetSide() == match.GetMaker().GetSide() {
		return "both legs are on the same side"
	}
	taker, reason := c.legFill(instrument, match.Taker, lots, notional, instrument.TakerFeePerLotMinor)
	if reason != "" {
		return reason
	}
	maker, reason := c.legFill(instrument, match.Maker, lots, notional, instrument.MakerFeePerLotMinor)
	if reason != "" {
		return reason
	}
	c.fill(instrument, [2]legFill{taker, maker}, lots, notional, by)
	return ""
}

func (c *core) legFill(
	instrument *pb.Instrument, leg *pb.Leg, lots, notional, feePerLot int64,
) (legFill, string) {
	o := c.orders[leg.GetOrderId()]
	switch {
	case o == nil:
		return legFill{}, fmt.Sprintf("no open order %d", leg.GetOrderId())
	case o.account != leg.AccountId || o.instrument != instrument || o.side != leg.Side:
		return legFill{}, fmt.Sprintf("order %d is another's, or on the other side", leg.OrderId)
	case lots > o.leavesLots:
		return legFill{}, fmt.Sprintf("order %d has %d lots left, the match %d", o.id, o.leavesLots, lots)
	}
	next, fee, ok := o.filled(lots, notional, leg.FeePpm, feePerLot)
	if !ok {
		return legFill{}, fmt.Sprintf("AMOUNT_OVERFLOW: fee of order %d", o.id)
	}
	worked := legFill{order: o, next: next, fee: fee}
	held := c.accounts[o.account].balance(instrument.QuoteAssetId)[available]
	if held+worked.quote(notional) < 0 {
		return legFill{}, fmt.Sprintf("INSUFFICIENT_AVAILABLE: the lock of order %d is too small", o.id)
	}
	return worked, ""
}

func (c *core) fill(instrument *pb.Instrument, legs [2]legFill, lots, notional int64, by cause) {
	var postings []posting
	move := func(owner uint64, asset uint32, bucket uint8, delta int64, o *order) {
		if delta != 0 {
			postings = append(postings, posting{owner, asset, bucket, delta, o.id})
		}
	}
	for _, leg := range legs {
		o := leg.order
		move(o.account, o.asset(), lockedOrders, leg.next.locked-o.locked, o)
		move(o.account, instrument.QuoteAssetId, available, leg.quote(notional), o)
		if o.side == pb.Side_BUY {
			move(o.account, instrument.BaseAssetId, available, lots*instrument.BasePerLotMinor, o)
		}
		move(fees, instrument.QuoteAssetId, available, leg.fee, o)
	}
	c.post(pb.TxnKind_TXN_FILL, by, postings, nil)
	for _, leg := range legs {
		*leg.order = leg.next
		if leg.next.leavesLots == 0 {
			delete(c.orders, leg.order.id)
			c.closedOrders[leg.order.id] = leg.order.account
		}
	}
}
