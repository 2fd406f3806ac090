package main

import (
	"fmt"
	"sync"
	"time"

	pb "acctbench.invalid/foreign/accountsv1"
)

const (
	firstUserAccount = 1000
	available        = uint8(pb.Bucket_AVAILABLE)
	lockedOrders     = uint8(pb.Bucket_LOCKED_ORDERS)
	fees             = uint64(pb.SystemAccount_FEES)
	external         = uint64(pb.SystemAccount_EXTERNAL)
)

// balance is indexed by the contract's Bucket.
type balance [4]int64

type account struct {
	id, seq  uint64
	balances map[uint32]*balance
}

func (a *account) balance(asset uint32) *balance {
	held := a.balances[asset]
	if held == nil {
		held = new(balance)
		a.balances[asset] = held
	}
	return held
}

type requestID [16]byte

// cause is what made a transaction: a request, or (execution not nil) a record of the engine.
type cause struct {
	account   uint64
	request   requestID
	execution *executionCause
}

type posting struct {
	account uint64
	asset   uint32
	bucket  uint8
	delta   int64
	order   uint64
}

type balanceAfter struct {
	asset uint32
	balance
}

// change is an account after a transaction, with the balances that it changed.
type change struct {
	account, seq uint64
	balances     []balanceAfter
}

type transaction struct {
	seq      uint64
	kind     pb.TxnKind
	cause    cause
	commitNs uint64
	postings []posting
	changes  []change
}

// core is the whole state. One lock guards it: a request is applied in a few microseconds, and the
// order in which requests get the lock is the order of the journal.
type core struct {
	mutex           sync.Mutex
	assets          map[uint32]*pb.Asset
	instruments     map[uint32]*pb.Instrument
	accounts        map[uint64]*account
	orders          map[uint64]*order
	closedOrders    map[uint64]uint64 // order to account
	outcomes        map[scopedID]remembered
	epoch           uint32
	journalSeq      uint64
	seedCount       uint64
	sources         map[sourceKey]*source
	nextOffsets     map[int32]int64
	deadLetterCount uint64
	duplicateCount  uint64
	counters        map[counter]uint64
	sink
}

// sink is where the core's effects go. Its methods are called under the lock and must not wait.
type sink interface {
	publish(*transaction)
	bury(value []byte, reason string)
	isBacklogged(journalSeq uint64) bool
}

type counter struct {
	name string
	code pb.Code
}

func newCore(effects sink) *core {
	c := &core{
		assets:       map[uint32]*pb.Asset{},
		instruments:  map[uint32]*pb.Instrument{},
		accounts:     map[uint64]*account{},
		orders:       map[uint64]*order{},
		closedOrders: map[uint64]uint64{},
		outcomes:     map[scopedID]remembered{},
		sources:      map[sourceKey]*source{},
		nextOffsets:  map[int32]int64{},
		counters:     map[counter]uint64{},
		sink:         effects,
	}
	for id := range pb.SystemAccount_name {
		if id != 0 {
			c.open(uint64(id))
		}
	}
	return c
}

func (c *core) open(id uint64) *account {
	made := &account{id: id, balances: map[uint32]*balance{}}
	c.accounts[id] = made
	return made
}

// user is the account of that id unless it is the system's, which take no requests.
func (c *core) user(id uint64) *account {
	if id < firstUserAccount {
		return nil
	}
	return c.accounts[id]
}

// post moves the money of postings and closes the transaction. Balances change here and nowhere
// else, so the ledger and the state can't disagree. Subject is an account that the transaction is
// about though it moves nothing of it.
func (c *core) post(kind pb.TxnKind, by cause, postings []posting, subject *account) {
	c.journalSeq++
	made := &transaction{
		seq: c.journalSeq, kind: kind, cause: by, commitNs: nowNs(), postings: postings,
	}
	touched := make([]*account, 0, 2)
	if subject != nil {
		touched = append(touched, subject)
	}
	for _, p := range postings {
		owner := c.accounts[p.account]
		owner.balance(p.asset)[p.bucket] += p.delta
		if owner.id >= firstUserAccount && !contains(touched, owner) {
			touched = append(touched, owner)
		}
	}
	for _, owner := range touched {
		owner.seq++
		made.changes = append(made.changes, after(owner, postings))
	}
	c.publish(made)
}

func after(owner *account, postings []posting) change {
	result := change{account: owner.id, seq: owner.seq}
	for i, p := range postings {
		if p.account == owner.id && !hasAsset(postings[:i], owner.id, p.asset) {
			held := balanceAfter{asset: p.asset, balance: *owner.balance(p.asset)}
			result.balances = append(result.balances, held)
		}
	}
	return result
}

func contains(accounts []*account, wanted *account) bool {
	for _, a := range accounts {
		if a == wanted {
			return true
		}
	}
	return false
}

func hasAsset(postings []posting, owner uint64, asset uint32) bool {
	for _, p := range postings {
		if p.account == owner && p.asset == asset {
			return true
		}
	}
	return false
}

// load adds assets and instruments; what is there may be told again, but not changed.
func (c *core) load(data *pb.ReferenceData) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	assets, instruments := map[uint32]*pb.Asset{}, map[uint32]*pb.Instrument{}
	for _, asset := range data.Assets {
		if asset.Scale > 9 {
			return fmt.Errorf("asset %d: scale %d is not within 0..9", asset.AssetId, asset.Scale)
		}
		if known := c.assets[asset.AssetId]; known != nil && known.String() != asset.String() {
			return fmt.Errorf("asset %d differs from the one that is loaded", asset.AssetId)
		}
		assets[asset.AssetId] = asset
	}
	for _, row := range data.Instruments {
		for _, id := range []uint32{row.BaseAssetId, row.QuoteAssetId} {
			if assets[id] == nil && c.assets[id] == nil {
				return fmt.Errorf("instrument %d: asset %d is unknown", row.InstrumentId, id)
			}
		}
		if row.BaseAssetId == row.QuoteAssetId ||
			row.BasePerLotMinor <= 0 || row.QuotePerTickLotMinor <= 0 {
			return fmt.Errorf("instrument %d: no market can be made of it", row.InstrumentId)
		}
		if known := c.instruments[row.InstrumentId]; known != nil && known.String() != row.String() {
			return fmt.Errorf("instrument %d differs from the one that is loaded", row.InstrumentId)
		}
		instruments[row.InstrumentId] = row
	}
	for id, asset := range assets {
		c.assets[id] = asset
	}
	for id, row := range instruments {
		c.instruments[id] = row
	}
	return nil
}

// seed credits a starting balance against EXTERNAL, and makes the account if it is not there.
func (c *core) seed(record *pb.SeedRecord) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	amount := record.AmountMinor
	if record.AccountId < firstUserAccount || amount < 0 {
		return fmt.Errorf("account %d, amount %d: neither may be so low", record.AccountId, amount)
	}
	if amount > 0 && c.assets[record.AssetId] == nil {
		return fmt.Errorf("asset %d is unknown; load the reference data first", record.AssetId)
	}
	if amount > 0 && c.supply(record.AssetId) > amountMax-amount {
		return fmt.Errorf("amount %d: the asset's supply would pass 2^62", amount)
	}
	owner := c.accounts[record.AccountId]
	if owner == nil {
		owner = c.open(record.AccountId)
	}
	c.seedCount++
	by := cause{account: owner.id}
	copy(by.request[:], fmt.Sprintf("seed%012d", c.seedCount))
	if amount == 0 {
		c.post(pb.TxnKind_TXN_CREATE_ACCOUNT, by, nil, owner)
		return nil
	}
	c.post(pb.TxnKind_TXN_SEED, by, credit(owner.id, record.AssetId, amount), nil)
	return nil
}

// supply is what the users and the system hold of an asset: EXTERNAL mirrors it.
func (c *core) supply(asset uint32) int64 { return -c.accounts[external].balance(asset)[available] }

// credit moves an amount of either sign from EXTERNAL to an account.
func credit(to uint64, asset uint32, amount int64) []posting {
	return []posting{
		{account: to, asset: asset, bucket: available, delta: amount},
		{account: external, asset: asset, bucket: available, delta: -amount},
	}
}

// nowNs is the service's own monotonic clock.
func nowNs() uint64 { return uint64(time.Since(started)) }

var started = time.Now()
