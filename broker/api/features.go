package api

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is a finalized feature (KIP-584): clients turn on what it stands for
// when its level is high enough. Levels begin at 1, because parsers of
// ApiVersions before v4 refuse 0.
type feature struct {
	name     string
	min, max int16
}

// features are what is supported and, in full, finalized.
var features = []feature{
	{"group.version", 1, 1},       // the consumer group protocol (KIP-848)
	{"transaction.version", 1, 2}, // a new epoch with each transaction (KIP-890)
}

// addFeatures puts the features into an ApiVersions response. epoch is that
// of the metadata that they were finalized by.
func addFeatures(resp *kmsg.ApiVersionsResponse, epoch int64) {
	for _, f := range features {
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = f.name, f.min, f.max
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		ff := kmsg.NewApiVersionsResponseFinalizedFeature()
		ff.Name, ff.MinVersionLevel, ff.MaxVersionLevel = f.name, f.max, f.max
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, ff)
	}
	resp.FinalizedFeaturesEpoch = epoch
}
