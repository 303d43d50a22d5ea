// One body on its way through the plugins of its direction, which each get what the one before let through
// (penstock_plugin.h, GW_BODY_END). Nothing is sent from here and nothing is read: the exchange offers what
// came and takes, step by step, what goes on. What plugins keep is bounded by limits.body_buffer for each of
// them. Made only for a message that has a body and a plugin for it.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/free_list.h"
#include "proxy/body_bytes.h"
#include "proxy/filter_chain.h"

namespace penstock::proxy {

struct BodyStep {
  enum class Kind : uint8_t {
    nothing,    // all that was offered is kept or went on
    bytes,      // `bytes` go on, and after them the end if `end`
    paused,     // a plugin waits; resume() goes on
    respond,    // requests: context.local holds the answer of `plugin`
    failed,     // `plugin` failed, and its on_error says fail
    too_large,  // `plugin` keeps more than it may
  } kind = Kind::nothing;
  bool end = false;
  bool lent = false;  // `bytes` are the caller's own; else valid until the next step
  std::string_view bytes;
  const Filter* plugin = nullptr;
};

class BodyChain final : public FreeListed {
 public:
  // Hooks get no more at once, so that what one of them makes of a chunk comes from the worker's pieces.
  static constexpr size_t most_at_once = 16 * 1024;

  // Null: no plugin has a hook for this body.
  static std::unique_ptr<BodyChain> make(FreeList& list, RequestContext& request, net::Loop& loop,
                                         const std::vector<ChainLink>& links, Way way, size_t limit);
  BodyChain(RequestContext& request, net::Loop& loop, Way way, size_t limit, size_t stages);
  ~BodyChain();

  // More of the body; a view that is taken by steps until one says nothing or paused. Not when it failed.
  void offer(std::string_view bytes, bool end);
  BodyStep next();
  // After paused: what on_resume of that plugin says.
  BodyStep resume(void* data);
  // The pause took too long.
  const ChainLink& paused_in() const { return stages_[paused_at_].link; }

  bool paused() const { return paused_; }
  bool ended() const { return ended_; }  // the end went on
  // Every plugin wants no more of it: all that comes goes on as it is.
  bool let_go() const;
  // And nothing of it is in here: what comes may go past this. The end is still to be offered.
  bool detached() const;
  uint64_t taken() const { return taken_; }           // bytes of the body that went in
  uint64_t passed() const { return passed_; }         // and that came out
  size_t waiting() const { return unread().size(); }  // that came during a pause
  size_t held() const;                                // all bytes in here

  // gw.http body_replace. False: over the limit.
  bool replace(std::string_view bytes);

 private:
  struct Stage {
    explicit Stage(const ChainLink& l, net::Loop& loop) : link(l), kept(loop) {}
    ChainLink link;
    BodyBytes kept;
    bool spent = false;  // what it kept went on
    bool detached = false;
  };
  struct Chunk {
    std::string_view bytes;
    bool end = false;
    bool lent = false;
  };
  std::string_view unread() const { return waiting_.view().substr(waiting_at_); }
  Chunk take();
  BodyStep run(size_t at, Chunk chunk);
  std::optional<BodyStep> judge(size_t at, Action action, Chunk& chunk);
  std::optional<BodyStep> go_on(Stage& stage, Chunk& chunk);
  std::optional<BodyStep> fail(Stage& stage, Chunk& chunk);
  BodyStep pause(size_t at, const Chunk& chunk);
  BodyStep stop(BodyStep::Kind kind, const Stage& stage) const {
    return {kind, false, false, {}, stage.link.filter};
  }
  template <class Hook>
  Action call(const Stage& stage, Hook hook);
  bool keep(Stage& stage, std::string_view bytes) const;
  void drop_spent();

  RequestContext& request_;
  const Way way_;
  const size_t limit_;
  Stage* stages_;
  size_t count_ = 0;
  size_t paused_at_ = 0;
  std::string_view input_;  // offered and not taken yet
  BodyBytes waiting_;       // what came during a pause; it goes first
  size_t waiting_at_ = 0;
  std::array<BodyBytes, 2> replacements_;  // of the chunk under way, and of the one before it
  uint8_t fresh_ = 0;                      // which of them the next hook writes
  bool replaced_ = false;
  bool end_offered_ = false, end_taken_ = false, ended_ = false;
  bool paused_ = false, paused_end_ = false;
  uint64_t taken_ = 0, passed_ = 0;
};

}  // namespace penstock::proxy
