#include "proxy/body_chain.h"

#include <algorithm>
#include <new>
#include <utility>

namespace penstock::proxy {

std::unique_ptr<BodyChain> BodyChain::make(FreeList& list, RequestContext& request, net::Loop& loop,
                                           const std::vector<ChainLink>& links, Way way, size_t limit) {
  const auto active = [&](const ChainLink& link) { return takes_part(link, way, request); };
  const auto count = static_cast<size_t>(std::ranges::count_if(links, active));
  if (count == 0) return nullptr;
  std::unique_ptr<BodyChain> chain(new (list) BodyChain(request, loop, way, limit, count));
  for (const ChainLink& link : links)
    if (active(link)) new (chain->stages_ + chain->count_++) Stage(link, loop);
  return chain;
}

BodyChain::BodyChain(RequestContext& request, net::Loop& loop, Way way, size_t limit, size_t stages)
    : request_(request),
      way_(way),
      limit_(limit),
      stages_(static_cast<Stage*>(loop.pieces().take(stages * sizeof(Stage)))),
      waiting_(loop),
      replacements_{BodyBytes(loop), BodyBytes(loop)} {
  if (!stages_) throw std::bad_alloc();
}

BodyChain::~BodyChain() {
  std::destroy_n(stages_, count_);
  SizedPool::give(stages_);
}

void BodyChain::offer(std::string_view bytes, bool end) {
  if (paused_)
    waiting_.append(bytes);
  else
    input_ = bytes;
  end_offered_ = end_offered_ || end;
}

bool BodyChain::let_go() const {
  return !paused_ &&
         std::all_of(stages_, stages_ + count_, [](const Stage& stage) { return stage.detached; });
}

bool BodyChain::detached() const { return unread().empty() && input_.empty() && let_go(); }

size_t BodyChain::held() const {
  size_t bytes = waiting_.size();
  for (size_t i = 0; i < count_; ++i) bytes += stages_[i].kept.size();
  return bytes;
}

bool BodyChain::replace(std::string_view bytes) {
  if (bytes.size() > limit_) return false;
  BodyBytes& replacement = replacements_[fresh_];
  replacement.clear();
  replacement.append(bytes);
  replaced_ = true;
  return true;
}

// No larger than what may be put in its place.
BodyChain::Chunk BodyChain::take() {
  const bool late = !unread().empty();
  const std::string_view source = late ? unread() : input_;
  const std::string_view bytes = source.substr(0, std::min(most_at_once, limit_));
  late ? void(waiting_at_ += bytes.size()) : input_.remove_prefix(bytes.size());
  taken_ += bytes.size();
  const bool end = end_offered_ && !end_taken_ && unread().empty() && input_.empty();
  end_taken_ = end_taken_ || end;
  return {bytes, end, !late};
}

// What the last step gave out has gone on by now.
void BodyChain::drop_spent() {
  for (size_t i = 0; i < count_; ++i)
    if (std::exchange(stages_[i].spent, false)) stages_[i].kept.clear();
  for (BodyBytes& replacement : replacements_) replacement.clear();
  if (waiting_at_ == 0 || !unread().empty()) return;
  waiting_.clear();
  waiting_at_ = 0;
}

BodyStep BodyChain::next() {
  for (;;) {
    drop_spent();
    if (paused_) return {BodyStep::Kind::paused};
    const Chunk chunk = take();
    if (chunk.bytes.empty() && !chunk.end) return {};
    const BodyStep step = run(0, chunk);
    if (step.kind != BodyStep::Kind::nothing) return step;
  }
}

BodyStep BodyChain::resume(void* data) {
  paused_ = false;
  Stage& stage = stages_[paused_at_];
  Chunk chunk{stage.kept.view(), paused_end_, false};
  const Action action =
      call(stage, [&](const FilterCall& c) { return stage.link.filter->on_body_resume(c, data); });
  auto step = judge(paused_at_, action, chunk);
  if (!step) step = run(paused_at_ + 1, chunk);
  return step->kind == BodyStep::Kind::nothing ? next() : *step;  // what waited behind it
}

template <class Hook>
Action BodyChain::call(const Stage& stage, Hook hook) {
  replaced_ = false;
  request_.body = this;
  const Action action = hook(call_of(stage.link, request_));
  request_.body = nullptr;
  return action;
}

BodyStep BodyChain::run(size_t at, Chunk chunk) {
  for (; at < count_; ++at) {
    if (chunk.bytes.empty() && !chunk.end) return {};
    Stage& stage = stages_[at];
    if (stage.detached) continue;
    if (!stage.kept.empty()) {
      if (!keep(stage, chunk.bytes)) return stop(BodyStep::Kind::too_large, stage);
      chunk.bytes = stage.kept.view();
      chunk.lent = false;
    }
    const Action action = call(stage, [&](const FilterCall& c) {
      return stage.link.filter->on_body(way_, c, chunk.bytes, chunk.end);
    });
    if (auto stopped = judge(at, action, chunk)) return *stopped;
  }
  if (chunk.bytes.empty() && !chunk.end) return {};
  ended_ = chunk.end;
  passed_ += chunk.bytes.size();
  return {BodyStep::Kind::bytes, chunk.end, chunk.lent, chunk.bytes, nullptr};
}

// nullopt: `chunk`, as the plugin has left it, goes on to the next one.
std::optional<BodyStep> BodyChain::judge(size_t at, Action action, Chunk& chunk) {
  Stage& stage = stages_[at];
  switch (action) {
    case Action::next: return go_on(stage, chunk);
    case Action::detach:
      stage.detached = true;
      request_.mark(*stage.link.filter, proxy::detached(way_));
      return go_on(stage, chunk);
    case Action::buffer:
      if (chunk.end) return fail(stage, chunk);  // for what?
      if (stage.kept.empty() && !keep(stage, chunk.bytes)) return stop(BodyStep::Kind::too_large, stage);
      return BodyStep{};
    case Action::pause:
      if (way_ == Way::response || !request_.resumable) return fail(stage, chunk);
      return pause(at, chunk);
    case Action::respond:
      if (way_ == Way::response || request_.local.status == 0) return fail(stage, chunk);
      return stop(BodyStep::Kind::respond, stage);
    case Action::error: break;
  }
  return fail(stage, chunk);
}

std::optional<BodyStep> BodyChain::go_on(Stage& stage, Chunk& chunk) {
  stage.spent = !stage.kept.empty();
  if (!replaced_) return std::nullopt;
  chunk.bytes = replacements_[fresh_].view();
  chunk.lent = false;
  fresh_ ^= 1;
  return std::nullopt;
}

// What a plugin that may be skipped has failed on goes on as it was.
std::optional<BodyStep> BodyChain::fail(Stage& stage, Chunk& chunk) {
  if (stage.link.filter->on_error() == OnError::fail) return stop(BodyStep::Kind::failed, stage);
  replaced_ = false;
  return go_on(stage, chunk);
}

// The chunk waits with its plugin, what was offered behind it before the first one.
BodyStep BodyChain::pause(size_t at, const Chunk& chunk) {
  Stage& stage = stages_[at];
  if (stage.kept.empty()) stage.kept.append(chunk.bytes);
  waiting_.append(std::exchange(input_, {}));
  paused_ = true;
  paused_at_ = at;
  paused_end_ = chunk.end;
  drop_spent();
  return stop(BodyStep::Kind::paused, stage);
}

bool BodyChain::keep(Stage& stage, std::string_view bytes) const {
  if (stage.kept.size() + bytes.size() > limit_) return false;
  stage.kept.append(bytes);
  return true;
}

}  // namespace penstock::proxy
