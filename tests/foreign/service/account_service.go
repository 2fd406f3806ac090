package main

import (
	"context"
	"errors"
	"io"
	"sort"

	pb "acctbench.invalid/foreign/accountsv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const batchMaxCount = 1000

// accountService answers what this core can do; the rest is UNIMPLEMENTED and not declared.
type accountService struct {
	pb.UnimplementedAccountServiceServer
	core    *core
	without parts
}

// write applies a request; what must not be in band on a unary call is a status.
func (s *accountService) write(r request, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	result, err := s.writeInBand(r)
	if err != nil {
		return outcome{}, err
	}
	switch result.code {
	case pb.Code_IDEMPOTENCY_MISMATCH:
		return result, status.Error(codes.AlreadyExists, "4001 IDEMPOTENCY_MISMATCH: another payload")
	case pb.Code_FENCED:
		return result, status.Error(codes.FailedPrecondition, "4003 FENCED: a higher client_epoch was seen")
	case pb.Code_BROKER_UNAVAILABLE:
		return result, status.Error(codes.ResourceExhausted, "5004 BROKER_UNAVAILABLE: it is too far behind")
	}
	return result, nil
}

func (s *accountService) writeInBand(r request) (outcome, error) {
	if r.kind == amendReservation && s.without["amend"] {
		return outcome{}, status.Error(codes.Unimplemented, "no AmendReservation here")
	}
	return s.core.apply(r), nil
}

func ack(result outcome, ingressNs uint64) *pb.Ack {
	made := &pb.Ack{
		Code: result.code, JournalSeq: result.journalSeq, AccountSeq: result.accountSeq,
		Replayed: result.isReplayed, TIngressNs: ingressNs, TCommitNs: nowNs(),
	}
	if result.code != pb.Code_OK {
		made.Detail = result.code.String()
	}
	return made
}

func (s *accountService) CreateAccount(_ context.Context, r *pb.CreateAccountRequest) (*pb.Ack, error) {
	at := nowNs()
	made, err := newRequest(r.Meta, command{kind: createAccount, account: r.AccountId})
	result, err := s.write(made, err)
	if err != nil {
		return nil, err
	}
	return ack(result, at), nil
}

func (s *accountService) ApplyTransfer(_ context.Context, r *pb.TransferRequest) (*pb.TransferReply, error) {
	at := nowNs()
	return transferReply(at)(s.write(transferRequest(r)))
}

func (s *accountService) InternalTransfer(
	_ context.Context, r *pb.InternalTransferRequest,
) (*pb.TransferReply, error) {
	at := nowNs()
	return transferReply(at)(s.write(internalTransferRequest(r)))
}

func transferReply(at uint64) func(outcome, error) (*pb.TransferReply, error) {
	return func(result outcome, err error) (*pb.TransferReply, error) {
		if err != nil {
			return nil, err
		}
		return &pb.TransferReply{
			Ack: ack(result, at), AssetId: result.asset, AvailableMinor: result.available,
		}, nil
	}
}

func (s *accountService) Reserve(_ context.Context, r *pb.ReserveRequest) (*pb.ReserveReply, error) {
	at := nowNs()
	return reserveReply(r.OrderId, at)(s.write(reserveRequest(r)))
}

func (s *accountService) AmendReservation(_ context.Context, r *pb.AmendRequest) (*pb.ReserveReply, error) {
	at := nowNs()
	return reserveReply(r.OrderId, at)(s.write(amendRequest(r)))
}

func (s *accountService) Release(_ context.Context, r *pb.ReleaseRequest) (*pb.ReserveReply, error) {
	at := nowNs()
	return reserveReply(r.OrderId, at)(s.write(releaseRequest(r)))
}

func reserveReply(order, at uint64) func(outcome, error) (*pb.ReserveReply, error) {
	return func(result outcome, err error) (*pb.ReserveReply, error) {
		if err != nil {
			return nil, err
		}
		return &pb.ReserveReply{
			Ack: ack(result, at), OrderId: order, AssetId: result.asset,
			LockedMinor: result.locked, AvailableMinor: result.available,
		}, nil
	}
}

func (s *accountService) BatchReserve(
	_ context.Context, r *pb.BatchReserveRequest,
) (*pb.BatchReserveReply, error) {
	at := nowNs()
	if len(r.Items) > batchMaxCount {
		return nil, status.Errorf(codes.InvalidArgument, "items: %d are more than %d", len(r.Items), batchMaxCount)
	}
	asked := make([]request, len(r.Items)) // all are checked before any is applied
	for i, item := range r.Items {
		made, err := opRequest(item)
		if err != nil {
			return nil, err
		}
		asked[i] = made
	}
	reply := &pb.BatchReserveReply{}
	for i, made := range asked {
		result, err := s.opResult(r.Items[i].ClientTag, made, at)
		if err != nil {
			return nil, err
		}
		reply.Items = append(reply.Items, result)
	}
	reply.Ack = ack(outcome{journalSeq: s.core.newest()}, at)
	return reply, nil
}

func (s *accountService) opResult(tag uint32, r request, at uint64) (*pb.ReserveResult, error) {
	result, err := s.writeInBand(r)
	reply, err := reserveReply(r.other, at)(result, err)
	if err != nil {
		return nil, err
	}
	return &pb.ReserveResult{ClientTag: tag, Reply: reply}, nil
}

// ReserveStream answers each operation before it reads the next: the order of a stream is the order
// of its results, and what waits, waits in HTTP/2's own window.
func (s *accountService) ReserveStream(
	stream grpc.BidiStreamingServer[pb.ReserveOp, pb.ReserveResult],
) error {
	if s.without["reserve_stream"] {
		return status.Error(codes.Unimplemented, "no ReserveStream here")
	}
	for {
		op, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := nowNs()
		asked, err := opRequest(op)
		if err != nil {
			return err
		}
		result, err := s.opResult(op.ClientTag, asked, at)
		if err != nil {
			return err
		}
		if err := stream.Send(result); err != nil {
			return err
		}
	}
}

func (s *accountService) GetBalances(_ context.Context, r *pb.BalancesRequest) (*pb.BalancesReply, error) {
	at := nowNs()
	if s.without["balances_read"] {
		return nil, status.Error(codes.Unimplemented, "no GetBalances here")
	}
	s.core.mutex.Lock()
	defer s.core.mutex.Unlock()
	if wanted := r.GetMeta().GetMinAppliedSeq(); wanted > s.core.journalSeq {
		return nil, status.Errorf(codes.ResourceExhausted, "5001 OVERLOADED: journal_seq %d is not reached", wanted)
	}
	owner := s.core.accounts[r.AccountId]
	reply := &pb.BalancesReply{}
	if owner == nil {
		reply.Ack = ack(s.core.refuse(nil, pb.Code_ACCOUNT_NOT_FOUND, 0), at)
		return reply, nil
	}
	for _, held := range owner.held(r.AssetIds) {
		reply.Balances = append(reply.Balances, balanceMessage(held))
	}
	reply.Ack = ack(s.core.accept(owner, 0, 0), at)
	return reply, nil
}

// held is the account's balances of the assets, or of all that it ever held, in order.
func (a *account) held(assets []uint32) []balanceAfter {
	if len(assets) == 0 {
		for asset := range a.balances {
			assets = append(assets, asset)
		}
		sort.Slice(assets, func(i, j int) bool { return assets[i] < assets[j] })
	}
	found := make([]balanceAfter, len(assets))
	for i, asset := range assets {
		found[i].asset = asset
		if held := a.balances[asset]; held != nil {
			found[i].balance = *held
		}
	}
	return found
}

func (c *core) newest() uint64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.journalSeq
}
