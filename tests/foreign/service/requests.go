package main

import (
	pb "acctbench.invalid/foreign/accountsv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type requestKind uint8

const (
	createAccount requestKind = iota
	applyTransfer
	internalTransfer
	reserve
	amendReservation
	release
)

var requestNames = [...]string{
	"CreateAccount", "ApplyTransfer", "InternalTransfer", "Reserve", "AmendReservation", "Release",
}

// command is a request without its Meta. Two requests are the same if their commands are equal.
type command struct {
	kind       requestKind
	account    uint64
	other      uint64 // receiver, or order
	what       uint32 // asset, or instrument
	side       pb.Side
	amount     int64 // or quantity
	price      int64
	protect    int64
	feePpm     int32
	reason     uint32
	creates    bool
	reduceOnly bool
}

// request is a command with its idempotency key and the client's epoch.
type request struct {
	id    requestID
	epoch uint32
	command
}

type scopedID struct {
	account uint64
	id      requestID
}

type outcome struct {
	code                   pb.Code
	journalSeq, accountSeq uint64
	asset                  uint32
	locked, available      int64
	isReplayed             bool
}

type remembered struct {
	command
	outcome
}

func newRequest(meta *pb.Meta, asked command) (request, error) {
	made := request{epoch: meta.GetClientEpoch(), command: asked}
	if copy(made.id[:], meta.GetRequestId()) != len(made.id) || len(meta.GetRequestId()) != len(made.id) {
		length := len(meta.GetRequestId())
		return made, status.Errorf(codes.InvalidArgument, "meta.request_id: %d bytes; 16 are needed", length)
	}
	return made, nil
}

func transferRequest(r *pb.TransferRequest) (request, error) {
	if r.Phase != pb.TransferRequest_SINGLE {
		return request{}, status.Error(codes.Unimplemented, "phase: no two-phase transfers (see Capabilities)")
	}
	return newRequest(r.Meta, command{
		kind: applyTransfer, account: r.AccountId, what: r.AssetId, amount: r.AmountMinor,
		creates: r.CreateAccount,
	})
}

func internalTransferRequest(r *pb.InternalTransferRequest) (request, error) {
	return newRequest(r.Meta, command{
		kind: internalTransfer, account: r.AccountId, other: r.ToAccountId, what: r.AssetId,
		amount: r.AmountMinor,
	})
}

func reserveRequest(r *pb.ReserveRequest) (request, error) {
	if r.Side != pb.Side_BUY && r.Side != pb.Side_SELL {
		return request{}, status.Error(codes.InvalidArgument, "side: neither BUY nor SELL")
	}
	if r.Mode != pb.MarginMode_CASH || r.TtlMs != 0 {
		return request{}, status.Error(codes.Unimplemented, "mode, ttl_ms: only CASH, until released")
	}
	return newRequest(r.Meta, command{
		kind: reserve, account: r.AccountId, other: r.OrderId, what: r.InstrumentId, side: r.Side,
		amount: r.QtyLots, price: r.PriceTicks, protect: r.LimitProtectTicks, feePpm: r.FeePpm,
		reduceOnly: r.ReduceOnly,
	})
}

func amendRequest(r *pb.AmendRequest) (request, error) {
	return newRequest(r.Meta, command{
		kind: amendReservation, account: r.AccountId, other: r.OrderId, amount: r.LeavesLots,
		price: r.PriceTicks,
	})
}

func releaseRequest(r *pb.ReleaseRequest) (request, error) {
	return newRequest(r.Meta, command{
		kind: release, account: r.AccountId, other: r.OrderId, reason: r.Reason,
	})
}

// opRequest is the request inside an item of a batch or of a stream.
func opRequest(op *pb.ReserveOp) (request, error) {
	switch asked := op.Op.(type) {
	case *pb.ReserveOp_Reserve:
		return reserveRequest(asked.Reserve)
	case *pb.ReserveOp_Amend:
		return amendRequest(asked.Amend)
	case *pb.ReserveOp_Release:
		return releaseRequest(asked.Release)
	}
	return request{}, status.Error(codes.InvalidArgument, "op is not set")
}

// apply does a request, or gives the stored outcome of the same one.
func (c *core) apply(r request) outcome {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	result := c.decide(r)
	c.counters[counter{requestNames[r.kind], result.code}]++
	return result
}

func (c *core) decide(r request) outcome {
	if c.isBacklogged(c.journalSeq) { // before anything is remembered: it may be asked again
		return c.refuse(nil, pb.Code_BROKER_UNAVAILABLE, 0)
	}
	if r.epoch < c.epoch {
		return c.refuse(nil, pb.Code_FENCED, 0)
	}
	c.epoch = r.epoch
	key := scopedID{r.account, r.id}
	if known, ok := c.outcomes[key]; ok {
		if known.command != r.command {
			return c.refuse(c.accounts[r.account], pb.Code_IDEMPOTENCY_MISMATCH, 0)
		}
		known.isReplayed = true
		return known.outcome
	}
	by := cause{account: r.account, request: r.id}
	result := c.handle(r.command, by)
	c.outcomes[key] = remembered{r.command, result}
	return result
}

func (c *core) handle(r command, by cause) outcome {
	switch r.kind {
	case createAccount:
		return c.createAccount(r, by)
	case applyTransfer:
		return c.applyTransfer(r, by)
	case internalTransfer:
		return c.internalTransfer(r, by)
	case reserve:
		return c.reserve(r, by)
	case amendReservation:
		return c.amendReservation(r, by)
	default:
		return c.release(r, by)
	}
}

func (c *core) refuse(owner *account, code pb.Code, asset uint32) outcome {
	result := outcome{code: code, journalSeq: c.journalSeq, asset: asset}
	if owner != nil {
		result.accountSeq = owner.seq
		if held := owner.balances[asset]; held != nil {
			result.available = held[available]
		}
	}
	return result
}

func (c *core) accept(owner *account, asset uint32, locked int64) outcome {
	result := c.refuse(owner, pb.Code_OK, asset)
	result.locked = locked
	return result
}

func (c *core) createAccount(r command, by cause) outcome {
	if r.account < firstUserAccount {
		return c.refuse(nil, pb.Code_ACCOUNT_NOT_FOUND, 0)
	}
	owner := c.accounts[r.account]
	if owner == nil {
		owner = c.open(r.account)
		c.post(pb.TxnKind_TXN_CREATE_ACCOUNT, by, nil, owner)
	}
	return c.accept(owner, 0, 0)
}

func (c *core) applyTransfer(r command, by cause) outcome {
	owner := c.user(r.account)
	if owner == nil && !(r.creates && r.account >= firstUserAccount) {
		return c.refuse(nil, pb.Code_ACCOUNT_NOT_FOUND, 0)
	}
	if c.assets[r.what] == nil {
		return c.refuse(owner, pb.Code_ASSET_UNKNOWN, r.what)
	}
	if r.amount == 0 {
		return c.refuse(owner, pb.Code_NON_POSITIVE, r.what)
	}
	if r.amount < -amountMax || r.amount > amountMax-c.supply(r.what) {
		return c.refuse(owner, pb.Code_AMOUNT_OVERFLOW, r.what)
	}
	held := int64(0)
	if owner != nil {
		held = owner.balance(r.what)[available]
	}
	if held+r.amount < 0 {
		return c.refuse(owner, pb.Code_INSUFFICIENT_AVAILABLE, r.what)
	}
	if owner == nil {
		owner = c.open(r.account)
	}
	c.post(pb.TxnKind_TXN_TRANSFER, by, credit(owner.id, r.what, r.amount), nil)
	return c.accept(owner, r.what, 0)
}

func (c *core) internalTransfer(r command, by cause) outcome {
	sender, receiver := c.user(r.account), c.user(r.other)
	switch {
	case sender == nil || receiver == nil:
		return c.refuse(sender, pb.Code_ACCOUNT_NOT_FOUND, r.what)
	case c.assets[r.what] == nil:
		return c.refuse(sender, pb.Code_ASSET_UNKNOWN, r.what)
	case r.amount <= 0 || sender == receiver:
		return c.refuse(sender, pb.Code_NON_POSITIVE, r.what)
	case sender.balance(r.what)[available] < r.amount:
		return c.refuse(sender, pb.Code_INSUFFICIENT_AVAILABLE, r.what)
	}
	c.post(pb.TxnKind_TXN_INTERNAL_TRANSFER, by, []posting{
		{account: sender.id, asset: r.what, bucket: available, delta: -r.amount},
		{account: receiver.id, asset: r.what, bucket: available, delta: r.amount},
	}, nil)
	return c.accept(sender, r.what, 0)
}

func (c *core) reserve(r command, by cause) outcome {
	owner, instrument := c.user(r.account), c.instruments[r.what]
	limit := r.price
	if limit == 0 {
		limit = r.protect
	}
	_, wasThere := c.closedOrders[r.other]
	switch {
	case owner == nil:
		return c.refuse(nil, pb.Code_ACCOUNT_NOT_FOUND, 0)
	case instrument == nil:
		return c.refuse(owner, pb.Code_INSTRUMENT_UNKNOWN, 0)
	case wasThere || c.orders[r.other] != nil:
		return c.refuse(owner, pb.Code_ORDER_DUPLICATE, 0)
	case r.amount <= 0 || r.price < 0 || limit <= 0:
		return c.refuse(owner, pb.Code_NON_POSITIVE, 0)
	case r.reduceOnly: // there are no positions on spot
		return c.refuse(owner, pb.Code_REDUCE_ONLY_VIOLATION, 0)
	}
	made := &order{
		id: r.other, account: owner.id, instrument: instrument, side: r.side,
		limitTicks: limit, leavesLots: r.amount, feePpm: r.feePpm,
	}
	asset := made.asset()
	locked, ok := made.required()
	switch {
	case !ok:
		return c.refuse(owner, pb.Code_AMOUNT_OVERFLOW, asset)
	case locked <= 0:
		return c.refuse(owner, pb.Code_NON_POSITIVE, asset)
	case owner.balance(asset)[available] < locked:
		return c.refuse(owner, pb.Code_INSUFFICIENT_AVAILABLE, asset)
	}
	made.locked = locked
	c.orders[made.id] = made
	c.post(pb.TxnKind_TXN_RESERVE, by, lock(made, locked), owner)
	return c.accept(owner, asset, locked)
}

func (c *core) amendReservation(r command, by cause) outcome {
	owner, o := c.user(r.account), c.orders[r.other]
	if owner == nil || o == nil || o.account != r.account {
		return c.noOpenOrder(owner, r.other)
	}
	next, code := c.amended(o, r.price, r.amount)
	if code != pb.Code_OK {
		result := c.refuse(owner, code, o.asset())
		result.locked = o.locked
		return result
	}
	c.amend(by, o, next)
	return c.accept(owner, o.asset(), o.locked)
}

func (c *core) release(r command, by cause) outcome {
	owner, o := c.user(r.account), c.orders[r.other]
	if owner == nil || o == nil || o.account != r.account {
		return c.noOpenOrder(owner, r.other)
	}
	c.closeOrder(pb.TxnKind_TXN_RELEASE, by, o)
	return c.accept(owner, o.asset(), 0)
}

func (c *core) noOpenOrder(owner *account, id uint64) outcome {
	if owner == nil {
		return c.refuse(nil, pb.Code_ACCOUNT_NOT_FOUND, 0)
	}
	if closedBy, was := c.closedOrders[id]; was && closedBy == owner.id {
		return c.refuse(owner, pb.Code_ORDER_TERMINAL, 0)
	}
	return c.refuse(owner, pb.Code_ORDER_UNKNOWN, 0)
}
