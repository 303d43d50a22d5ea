#include "proxy/filter_chain.h"

#include <algorithm>

namespace penstock::proxy {

bool AccessRule::covers(const RequestContext& request) const {
  // consumer_id is a consumer's name or PLUGIN:CLAIM: an identity that no consumer stands for can be named
  // too.
  if (request.consumer_id.data() && std::ranges::find(consumers, request.consumer_id) != consumers.end())
    return true;
  return std::ranges::any_of(groups, [&](const std::string& group) { return request.in_group(group); });
}

ChainLink Chain::link(const Filter& filter) {
  // An instance that stands in the chain twice keeps one context.
  for (const ChainLink& known : all_)
    if (known.filter == &filter) return known;
  constexpr size_t align = alignof(std::max_align_t);
  ChainLink link{&filter, static_cast<uint32_t>(context_bytes_)};
  context_bytes_ += (filter.context_size() + align - 1) / align * align;
  all_.push_back(link);
  if (filter.has(Filter::response_headers_hook)) responses_.insert(responses_.begin(), link);
  if (filter.has(Filter::complete_hook)) completions_.insert(completions_.begin(), link);
  add_body_hooks(link);
  if (filter.has(Filter::attempt_hook)) attempts_.insert(attempts_.begin(), link);
  return link;
}

void Chain::add_body_hooks(const ChainLink& link) {
  const Filter& filter = *link.filter;
  auto& [request_bodies, response_bodies] = bodies_;
  auto& [request_trailers, response_trailers] = trailers_;
  if (filter.has(Filter::request_body_hook)) request_bodies.push_back(link);
  if (filter.has(Filter::request_trailers_hook)) request_trailers.push_back(link);
  if (filter.has(Filter::response_body_hook)) response_bodies.insert(response_bodies.begin(), link);
  if (filter.has(Filter::response_trailers_hook)) response_trailers.insert(response_trailers.begin(), link);
  if (filter.has(Filter::upgrade_hook)) upgrades_.insert(upgrades_.begin(), link);
}

void Chain::add(const Filter& filter) {
  ChainLink added = link(filter);
  if (filter.has(Filter::request_headers_hook)) (auth_ ? after_auth_ : before_auth_).push_back(added);
}

void Chain::set_auth(AuthPolicy policy, const std::vector<const Filter*>& authenticators) {
  for (const Filter* filter : authenticators) policy.authenticators.push_back(link(*filter));
  auth_ = std::move(policy);
}

bool takes_part(const ChainLink& link, Way way, const RequestContext& request) {
  bool accepted = !link.filter->has(Filter::authenticate_hook);
  for (const FilterMark* mark = request.marks; mark; mark = mark->next) {
    if (mark->filter != link.filter) continue;
    if (mark->kind == FilterMark::Kind::accepted) accepted = true;
    if (mark->kind == detached(way)) return false;
  }
  return accepted;
}

FilterCall call_of(const ChainLink& link, RequestContext& request) {
  uint32_t index = link.filter->index;
  void* state = index < request.worker_states.size() ? request.worker_states[index] : nullptr;
  void* context = link.filter->context_size() ? request.contexts.data() + link.context_offset : nullptr;
  return {request, state, context};
}

}  // namespace penstock::proxy
