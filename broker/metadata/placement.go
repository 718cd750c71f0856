package metadata

import "fmt"

// Place spreads partitions and their leaders over brokers, round robin from a
// starting point: first is the number of the first partition placed, start any
// number, drawn by the proposer, that shifts where the topic begins. The
// replicas that follow a leader are shifted further with each round, so that
// one broker's failure loads all others alike. The errors are ErrPartitions
// and ErrReplication.
func Place(brokers []int32, partitions, factor int, first, start uint32) ([][]int32, error) {
	switch {
	case partitions < 1 || partitions > MaxPartitions:
		return nil, fmt.Errorf("%d partitions, must be 1 to %d: %w", partitions, MaxPartitions, ErrPartitions)
	case factor < 1 || factor > len(brokers):
		return nil, fmt.Errorf("replication factor %d with %d brokers: %w", factor, len(brokers), ErrReplication)
	}
	n := uint32(len(brokers))
	out := make([][]int32, partitions)
	for i := range out {
		p := first + uint32(i)
		lead := (start%n + p%n) % n
		replicas := []int32{brokers[lead]}
		shift := p / n
		for r := uint32(0); len(replicas) < factor; r++ {
			replicas = append(replicas, brokers[(lead+1+(shift+r)%(n-1))%n])
		}
		out[i] = replicas
	}
	return out, nil
}
