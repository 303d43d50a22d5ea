// Parts of a configuration in words, for explain. Pure.
#pragma once
#include <string>
#include <string_view>

#include "admin/explain.h"
#include "config/route_config.h"
#include "proxy/filter.h"
#include "upstream/cluster.h"

namespace penstock::admin {

std::string describe_match(const config::Match& match);  // "host=api.example.com path_prefix=/orders"
std::string describe_auth(const proxy::Explanation& said, const proxy::RequestContext& request);
std::string describe_settings(const upstream::ClusterSettings& cluster, const proxy::Route& route);
// ", checked by GET /healthz", or empty.
std::string describe_check(const upstream::ClusterSettings& cluster);
std::string describe_split(const proxy::Snapshot& snapshot, const proxy::Target& target);
Explained::Listener describe_listener(const proxy::ListenerInfo& listener, const std::string& host);
// "h2 or http/1.1"
std::string describe_protocols(const std::vector<std::string_view>& protocols);
std::vector<std::string_view> protocols_of(const upstream::ClusterSettings& cluster);
std::string endpoint_name(const config::Endpoint& endpoint);  // "127.0.0.1:9101", "[::1]:80"
std::string_view name_of(proxy::Explanation::On on);          // "limit", "time", ...

}  // namespace penstock::admin
