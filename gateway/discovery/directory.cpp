#include "discovery/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace penstock::discovery {
namespace {

// What decides about the provider; everything else of an upstream may change under it.
std::string source_of(const config::Upstream& upstream) {
  std::string source;
  for (const config::Endpoint& endpoint : upstream.endpoints)
    source += fmt::format("{} {} {}\n", endpoint.host, endpoint.port, endpoint.weight);
  if (upstream.discover)
    source += fmt::format("dns {} {}\n", upstream.discover->name, upstream.discover->port);
  return source;
}

// How its endpoints are spoken to. What was found for one source must not be spoken to as is written for
// another: without TLS, say, where there was TLS.
std::string speech_of(const config::Upstream& upstream) {
  std::string speech = fmt::format("{}", static_cast<int>(upstream.protocol));
  if (const auto& tls = upstream.tls)
    speech += fmt::format("\ntls {}\n{}\n{}\n{}\n{}", tls->server_name, tls->ca.path, tls->cert.path,
                          tls->key.path, static_cast<int>(tls->min_version));
  return speech;
}

bool usable(const upstream::EndpointSet& set) {
  return std::any_of(set.endpoints.begin(), set.endpoints.end(),
                     [](const auto& endpoint) { return !endpoint.addresses.empty(); });
}

// A name that a new provider has not resolved yet keeps the addresses that it had: same name, same port.
Directory::Set with_known_addresses(Directory::Set set, const upstream::EndpointSet& old) {
  std::shared_ptr<upstream::EndpointSet> filled;
  for (size_t i = 0; i < set->endpoints.size(); ++i) {
    const upstream::EndpointInfo& info = set->endpoints[i];
    if (!info.addresses.empty()) continue;
    auto known = std::find_if(old.endpoints.begin(), old.endpoints.end(),
                              [&](const auto& endpoint) { return endpoint.name == info.name; });
    if (known == old.endpoints.end() || known->addresses.empty()) continue;
    if (!filled) filled = std::make_shared<upstream::EndpointSet>(*set);
    filled->endpoints[i].addresses = known->addresses;
  }
  return filled ? filled : set;
}

}  // namespace

struct Directory::Entry {
  std::string source, speech;
  bool left_over = false;  // `current` is of an earlier source
  bool unfit = false;      // and is to be spoken to in another way now: whatever comes replaces it
  Set current = std::make_shared<const upstream::EndpointSet>();
  std::unique_ptr<Provider> provider;
};

Directory::Directory(Sources sources) : sources_(std::move(sources)) {}
Directory::~Directory() = default;

void Directory::apply(const std::vector<config::Upstream>& upstreams) {
  std::set<std::string> names;
  for (const config::Upstream& upstream : upstreams) names.insert(upstream.name);
  std::erase_if(entries_, [&](const auto& entry) { return !names.contains(entry.first); });

  for (const config::Upstream& upstream : upstreams) {
    auto& entry = entries_[upstream.name];
    if (!entry) entry = std::make_unique<Entry>();
    std::string source = source_of(upstream);
    std::string speech = speech_of(upstream);
    const bool other_source = !entry->provider || entry->source != source;
    if (other_source) entry->left_over = true;
    entry->unfit = entry->left_over && entry->speech != speech && usable(*entry->current);
    entry->speech = std::move(speech);
    if (other_source) {
      entry->source = std::move(source);
      entry->provider = make_provider(upstream, sources_);  // the old one stops, its last set stays
      entry->provider->start([this, name = upstream.name](Set set) { publish(name, std::move(set)); });
    }
    if (entry->unfit) replace(upstream.name, std::make_shared<const upstream::EndpointSet>());
  }
}

void Directory::publish(const std::string& upstream, Set set) {
  Entry& entry = *entries_.at(upstream);
  set = with_known_addresses(std::move(set), *entry.current);
  if (!usable(*set) && usable(*entry.current) && !entry.unfit) return;
  replace(upstream, std::move(set));
}

void Directory::replace(const std::string& upstream, Set set) {
  Entry& entry = *entries_.at(upstream);
  entry.left_over = entry.unfit = false;
  entry.current = std::move(set);
  sources_.states.sweep();
  for (const Changed& changed : subscribers_) changed(upstream, entry.current);
}

void Directory::subscribe(Changed changed) { subscribers_.push_back(std::move(changed)); }

Directory::Set Directory::current(const std::string& upstream) const {
  auto found = entries_.find(upstream);
  return found != entries_.end() ? found->second->current : std::make_shared<const upstream::EndpointSet>();
}

size_t Directory::unresolved() const {
  return static_cast<size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const auto& entry) { return !usable(*entry.second->current); }));
}

}  // namespace penstock::discovery
