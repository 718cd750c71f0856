package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// Resource types that have configs in Kafka and never here.
const (
	brokerLogger  = 8
	clientMetrics = 16
)

// listConfigResources answers API 74, versions 0 to 1 (KIP-1142): what has
// configs that can be described. v0 asks for client metrics, of which there
// are none; v1 asks for types, none for all: topics, brokers, and groups with
// configs of their own.
func (a *API) listConfigResources(_ context.Context, _ *wire.Conn, req *kmsg.ListConfigResourcesRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	resp.ConfigResources = []kmsg.ListConfigResourcesResponseConfigResource{}
	if req.Version == 0 {
		return resp, nil
	}
	const topics, brokers, groups = int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(metadata.GroupResource)
	for _, kind := range req.ResourceTypes {
		if !slices.Contains([]int8{topics, brokers, groups, brokerLogger, clientMetrics}, kind) {
			resp.ErrorCode = a.code(req.Key(), refuse(kerr.UnsupportedVersion, "unknown resource type"))
			return resp, nil
		}
	}
	add := func(kind int8, name string) {
		r := kmsg.NewListConfigResourcesResponseConfigResource()
		r.Type, r.Name = kind, name
		resp.ConfigResources = append(resp.ConfigResources, r)
	}
	asked := func(kind int8) bool { return len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, kind) }
	image := a.cfg.Controller.Image()
	if asked(topics) {
		for t := range image.Topics() {
			add(topics, t.Name)
		}
	}
	if asked(brokers) {
		for _, b := range image.Brokers() {
			add(brokers, strconv.Itoa(int(b.ID)))
		}
	}
	if asked(groups) {
		for _, r := range image.Resources(metadata.GroupResource) {
			add(groups, r.Name)
		}
	}
	return resp, nil
}
