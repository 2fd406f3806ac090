package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	pb "acctbench.invalid/foreign/accountsv1"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"
)

const (
	topicAlreadyExists = 36
	brokerTimeout      = 10 * time.Second
	// Past this many transactions that the broker has not taken, writes are refused.
	backlogMaxCount = 200_000
)

// topics are the contract's names behind a prefix.
type topics struct{ executions, ledger, balances, deadLetters string }

func withPrefix(prefix string) topics {
	return topics{
		executions:  prefix + "me.executions.v1",
		ledger:      prefix + "acct.ledger.v1",
		balances:    prefix + "acct.balances.v1",
		deadLetters: prefix + "acct.dlq.v1",
	}
}

// events carries transactions out to Kafka, in order, and executions in. Ledger and balances may
// each be left out; what is left out counts as nothing to emit.
type events struct {
	client              *kgo.Client
	topics              topics
	hasLedger           bool
	hasBalances         bool
	mutex               sync.Mutex
	pending             []*transaction
	arrived             chan struct{} // holds at most one: something is pending
	ledgerDone          progress
	balancesDone        progress
	executionPartitions map[int32]kgo.Offset
}

func connect(broker string, names topics, hasLedger, hasBalances bool) (*events, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker),
		// Small brokers have neither idempotent producers nor every codec. One request on its way
		// keeps the order in their stead.
		kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedRecords(4*backlogMaxCount),
		kgo.FetchMaxWait(10*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	e := &events{
		client: client, topics: names, hasLedger: hasLedger, hasBalances: hasBalances,
		arrived: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokerTimeout)
	defer cancel()
	if err := e.makeTopics(ctx); err != nil {
		return nil, fmt.Errorf("kafka %s: %w", broker, err)
	}
	e.executionPartitions, err = e.ends(ctx, names.executions)
	if err != nil {
		return nil, fmt.Errorf("kafka %s, topic %s: %w", broker, names.executions, err)
	}
	return e, nil
}

// makeTopics makes those that are missing.
func (e *events) makeTopics(ctx context.Context) error {
	asked := kmsg.NewPtrCreateTopicsRequest()
	asked.TimeoutMillis = int32(brokerTimeout / time.Millisecond)
	names := []string{e.topics.executions, e.topics.deadLetters}
	if e.hasLedger {
		names = append(names, e.topics.ledger)
	}
	if e.hasBalances {
		names = append(names, e.topics.balances)
	}
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
		asked.Topics = append(asked.Topics, topic)
	}
	reply, err := asked.RequestWith(ctx, e.client)
	if err != nil {
		return err
	}
	for _, topic := range reply.Topics {
		if topic.ErrorCode != 0 && topic.ErrorCode != topicAlreadyExists {
			return fmt.Errorf("topic %s: %w", topic.Topic, kerr.ErrorForCode(topic.ErrorCode))
		}
	}
	return nil
}

// ends is where each partition of a topic ends now: this core's memory starts with it, so older
// executions are about orders that it never had.
func (e *events) ends(ctx context.Context, topic string) (map[int32]kgo.Offset, error) {
	asked := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = kmsg.StringPtr(topic)
	asked.Topics = append(asked.Topics, named)
	reply, err := asked.RequestWith(ctx, e.client)
	if err != nil {
		return nil, err
	}
	listing := kmsg.NewPtrListOffsetsRequest()
	listing.ReplicaID = -1
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	for _, found := range reply.Topics {
		for _, partition := range found.Partitions {
			end := kmsg.NewListOffsetsRequestTopicPartition()
			end.Partition, end.Timestamp = partition.Partition, -1
			of.Partitions = append(of.Partitions, end)
		}
	}
	if len(of.Partitions) == 0 {
		return nil, fmt.Errorf("it has no partitions")
	}
	listing.Topics = append(listing.Topics, of)
	listed, err := listing.RequestWith(ctx, e.client)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]kgo.Offset{}
	for _, found := range listed.Topics {
		for _, partition := range found.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return nil, err
			}
			offsets[partition.Partition] = kgo.NewOffset().At(partition.Offset)
		}
	}
	return offsets, nil
}

// publish queues a transaction; called under the core's lock, so their order is the journal's.
func (e *events) publish(t *transaction) {
	e.mutex.Lock()
	e.pending = append(e.pending, t)
	e.mutex.Unlock()
	select {
	case e.arrived <- struct{}{}:
	default:
	}
}

// emit hands queued transactions to the producer until ctx ends.
func (e *events) emit(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.arrived:
		}
		e.mutex.Lock()
		batch := e.pending
		e.pending = nil
		e.mutex.Unlock()
		for _, t := range batch {
			e.emitOne(ctx, t)
		}
	}
}

func (e *events) emitOne(ctx context.Context, t *transaction) {
	by := e.cause(t)
	if e.hasLedger {
		e.ledgerDone.expect(t.seq, 1)
		e.produce(ctx, e.topics.ledger, nil, journalTxn(t, by), func() { e.ledgerDone.done(t.seq) })
	} else {
		e.ledgerDone.expect(t.seq, 0)
	}
	if !e.hasBalances {
		e.balancesDone.expect(t.seq, 0)
		return
	}
	e.balancesDone.expect(t.seq, len(t.changes))
	for _, changed := range t.changes {
		key := strconv.AppendUint(nil, changed.account, 10)
		update := accountUpdate(t, changed, by)
		e.produce(ctx, e.topics.balances, key, update, func() { e.balancesDone.done(t.seq) })
	}
}

func (e *events) produce(
	ctx context.Context, topic string, key []byte, message proto.Message, done func(),
) {
	value, err := proto.Marshal(message)
	if err != nil {
		fail(err)
	}
	record := &kgo.Record{Topic: topic, Key: key, Value: value}
	e.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("topic %s: %w", topic, err)) // what is not emitted can't be proved
		}
		done()
	})
}

func (e *events) bury(value []byte, reason string) {
	fmt.Fprintf(os.Stderr, "dead letter: %s\n", reason)
	record := &kgo.Record{
		Topic: e.topics.deadLetters, Value: value,
		Headers: []kgo.RecordHeader{{Key: "reason", Value: []byte(reason)}},
	}
	e.client.Produce(context.Background(), record, nil)
}

// isBacklogged says whether the broker is further behind than memory allows.
func (e *events) isBacklogged(journalSeq uint64) bool {
	taken := min(e.ledgerDone.reached(), e.balancesDone.reached())
	return journalSeq > taken+backlogMaxCount
}

// consume feeds executions to the core until ctx ends.
func (e *events) consume(ctx context.Context, c *core) {
	e.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{
		e.topics.executions: e.executionPartitions,
	})
	for {
		fetched := e.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fetched.EachError(func(topic string, partition int32, err error) {
			fmt.Fprintf(os.Stderr, "topic %s, partition %d: %v\n", topic, partition, err)
		})
		fetched.EachRecord(func(record *kgo.Record) {
			src := ""
			for _, header := range record.Headers {
				if header.Key == "src" {
					src = string(header.Value)
				}
			}
			c.consume(record.Partition, record.Offset, src, record.Value)
		})
	}
}

func (e *events) close(ctx context.Context) {
	_ = e.client.Flush(ctx)
	e.client.Close()
}

func (e *events) cause(t *transaction) *pb.Cause {
	where := t.cause.execution
	if where == nil {
		return &pb.Cause{C: &pb.Cause_RequestId{RequestId: t.cause.request[:]}}
	}
	return &pb.Cause{C: &pb.Cause_Kafka{Kafka: &pb.KafkaRef{
		Topic: e.topics.executions, Partition: uint32(where.partition),
		Offset: uint64(where.offset), SourceSeq: where.seq, Src: where.src,
		InstrumentId: where.instrument, MatchId: where.id,
	}}}
}

// transactionID is made from the cause alone.
func transactionID(by cause) []byte {
	if by.execution == nil {
		return append(binary.BigEndian.AppendUint64(nil, by.account), by.request[:]...)
	}
	where := by.execution
	id := binary.BigEndian.AppendUint32(nil, where.instrument)
	return append(binary.BigEndian.AppendUint64(id, where.seq), where.src...)
}

func journalTxn(t *transaction, by *pb.Cause) *pb.JournalTxn {
	message := &pb.JournalTxn{
		Cause: by, JournalSeq: t.seq, TxnId: transactionID(t.cause), Kind: t.kind,
		TCommitNs: t.commitNs, Postings: make([]*pb.Posting, len(t.postings)),
	}
	for i, p := range t.postings {
		message.Postings[i] = &pb.Posting{
			AccountId: p.account, AssetId: p.asset, Bucket: pb.Bucket(p.bucket),
			DeltaMinor: p.delta, OrderId: p.order,
		}
	}
	return message
}

func accountUpdate(t *transaction, changed change, by *pb.Cause) *pb.AccountUpdate {
	message := &pb.AccountUpdate{
		AccountId: changed.account, AccountSeq: changed.seq, TCommitNs: t.commitNs,
		Cause: by, JournalSeq: t.seq,
	}
	for _, held := range changed.balances {
		message.Balances = append(message.Balances, balanceMessage(held))
	}
	return message
}

func balanceMessage(held balanceAfter) *pb.Balance {
	return &pb.Balance{
		AssetId: held.asset, TotalMinor: held.balance[0] + held.balance[1] + held.balance[2] + held.balance[3],
		AvailableMinor: held.balance[0], LockedOrdersMinor: held.balance[1],
		LockedIsolatedMinor: held.balance[2], LockedWithdrawalMinor: held.balance[3],
	}
}

// progress is how far a gap-free sequence is done, when its members may be done out of order
// (records of several partitions are).
type progress struct {
	mutex   sync.Mutex
	first   uint64 // seq of open[0]
	open    []int  // parts of each that are not done yet
	atLeast uint64
}

func (p *progress) expect(seq uint64, parts int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if len(p.open) == 0 {
		p.first = seq
	}
	p.open = append(p.open, parts)
	p.advance()
}

func (p *progress) done(seq uint64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.open[seq-p.first]--
	p.advance()
}

func (p *progress) advance() {
	for len(p.open) > 0 && p.open[0] == 0 {
		p.atLeast, p.open = p.first, p.open[1:]
		p.first++
	}
}

func (p *progress) reached() uint64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.atLeast
}
