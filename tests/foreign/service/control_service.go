package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sort"
	"strconv"

	pb "acctbench.invalid/foreign/accountsv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// controlService has what a test bench needs. No digest: it is not declared, and not there.
type controlService struct {
	pb.UnimplementedControlServiceServer
	core    *core
	events  *events
	without parts
}

func (s *controlService) GetCapabilities(context.Context, *pb.Empty) (*pb.Capabilities, error) {
	features := []string{"control", "seed", "totals", "batch", "executions", "read_your_writes"}
	for _, optional := range []string{"amend", "reserve_stream"} {
		if !s.without[optional] {
			features = append(features, optional)
		}
	}
	return &pb.Capabilities{
		ContractVersion: "accounts.v1", Features: features, ShardCount: 1,
		BatchMaxCount: batchMaxCount, ReorderMaxCount: reorderMaxCount,
		Build: "foreign account core in Go, in memory", Pid: uint32(os.Getpid()),
		StreamWindowMaxCount: 1,
	}, nil
}

func (s *controlService) LoadReferenceData(_ context.Context, r *pb.ReferenceData) (*pb.Ack, error) {
	at := nowNs()
	if err := s.core.load(r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return ack(outcome{journalSeq: s.core.newest()}, at), nil
}

func (s *controlService) Seed(stream grpc.ClientStreamingServer[pb.SeedRecord, pb.Ack]) error {
	at := nowNs()
	for {
		record, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(ack(outcome{journalSeq: s.core.newest()}, at))
		}
		if err != nil {
			return err
		}
		if err := s.core.seed(record); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
}

func (s *controlService) GetTotals(context.Context, *pb.TotalsRequest) (*pb.TotalsReply, error) {
	at := nowNs()
	s.core.mutex.Lock()
	defer s.core.mutex.Unlock()
	users, system := map[uint32]*balance{}, map[uint32]map[uint32]string{}
	for asset := range s.core.assets {
		users[asset], system[asset] = new(balance), map[uint32]string{}
	}
	for _, owner := range s.core.accounts {
		for asset, held := range owner.balances {
			if owner.id < firstUserAccount {
				system[asset][uint32(owner.id)] = decimal(held[0] + held[1] + held[2] + held[3])
				continue
			}
			for bucket, amount := range held {
				users[asset][bucket] += amount // at most the supply, which is bounded
			}
		}
	}
	reply := &pb.TotalsReply{Ack: ack(outcome{journalSeq: s.core.journalSeq}, at)}
	for asset, total := range users {
		reply.Assets = append(reply.Assets, &pb.AssetTotals{
			AssetId: asset, UsersAvailableMinor: decimal(total[0]),
			UsersLockedOrdersMinor: decimal(total[1]), UsersLockedIsolatedMinor: decimal(total[2]),
			UsersLockedWithdrawalMinor: decimal(total[3]), SystemMinor: system[asset],
		})
	}
	return reply, nil
}

func decimal(amount int64) string { return strconv.FormatInt(amount, 10) }

func (s *controlService) ListAccounts(
	r *pb.ListRequest, stream grpc.ServerStreamingServer[pb.AccountState],
) error {
	for _, state := range s.accountStates(r.FromAccountId) {
		if err := stream.Send(state); err != nil {
			return err
		}
	}
	return nil
}

// accountStates is every account at one instant.
func (s *controlService) accountStates(from uint64) []*pb.AccountState {
	s.core.mutex.Lock()
	defer s.core.mutex.Unlock()
	byID := map[uint64]*pb.AccountState{}
	states := make([]*pb.AccountState, 0, len(s.core.accounts))
	for id, owner := range s.core.accounts {
		if id < from {
			continue
		}
		state := &pb.AccountState{AccountId: id, AccountSeq: owner.seq}
		for _, held := range owner.held(nil) {
			state.Balances = append(state.Balances, balanceMessage(held))
		}
		byID[id] = state
		states = append(states, state)
	}
	for _, o := range s.core.orders {
		if state := byID[o.account]; state != nil {
			state.OpenOrders = append(state.OpenOrders, &pb.OpenOrder{
				OrderId: o.id, InstrumentId: o.instrument.InstrumentId, Side: o.side,
				PriceTicks: o.limitTicks, LeavesLots: o.leavesLots, AssetId: o.asset(),
				LockedMinor: o.locked,
			})
		}
	}
	sort.Slice(states, func(i, j int) bool { return states[i].AccountId < states[j].AccountId })
	return states
}

// GetStats leaves durable_seq at 0: nothing is on a disk here.
func (s *controlService) GetStats(context.Context, *pb.Empty) (*pb.Stats, error) {
	c := s.core
	c.mutex.Lock()
	defer c.mutex.Unlock()
	stats := &pb.Stats{
		JournalSeq: c.journalSeq, LedgerEmittedSeq: s.events.ledgerDone.reached(),
		BalancesEmittedSeq: s.events.balancesDone.reached(), Counters: map[string]uint64{},
		OpenOrderCount: uint64(len(c.orders)), DedupeCount: uint64(len(c.outcomes)),
		DeadLetterCount: c.deadLetterCount, DuplicateCount: c.duplicateCount,
	}
	for id := range c.accounts {
		if id >= firstUserAccount {
			stats.AccountCount++
		}
	}
	for key, count := range c.counters {
		stats.Counters[key.name+"/"+strconv.Itoa(int(key.code))] = count
	}
	for partition, next := range c.nextOffsets {
		stats.Consumers = append(stats.Consumers, &pb.ConsumerPosition{
			Topic: s.events.topics.executions, Partition: uint32(partition), NextOffset: uint64(next),
		})
	}
	for key, from := range c.sources {
		stats.Sources = append(stats.Sources, &pb.SourcePosition{
			Src: key.src, InstrumentId: key.instrument, LastSeq: from.lastSeq,
			WaitingCount: uint32(len(from.waiting)),
		})
	}
	return stats, nil
}
