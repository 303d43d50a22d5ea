// Public keys that somebody publishes over HTTP (jwks_uri): fetched at the start, again before they are old,
// and when a token names a key that is not known. The last good ones stay through any failure. Asking runs on
// the main thread; the host keeps them over a reload; workers see that there are newer keys by one number and
// take them without a request ever waiting for a lock. Owned by its instance.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "key_set.h"
#include "penstock_plugin.hpp"

namespace auth {

// How long an answer may be used: max-age of Cache-Control (RFC 9111 5.2.2.1), at most `longest` and at least
// `shortest`; without one `longest`.
int64_t lifetime_ns(std::string_view cache_control, int64_t shortest, int64_t longest);

class KeySource {
 public:
  struct settings {
    gw::endpoint uri;
    std::string url;  // its text: keys that were kept are those of this one
    gw::duration refresh{std::chrono::minutes(10)};
    gw::duration min_interval{std::chrono::seconds(30)};
    gw::duration timeout{std::chrono::seconds(5)};
    gw::duration wait{std::chrono::seconds(5)};
    uint32_t waiters = 1000;
  };
  using Keys = std::shared_ptr<const KeySet>;
  // What an answer holds; null: `wrong` says why it holds no keys.
  using Parse = std::function<Keys(std::string_view body, std::string& wrong)>;

  KeySource(settings s, Parse parse, gw::setup& setup);
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  // What one worker has of it.
  struct View {
    uint64_t generation = 0;
    Keys keys;  // null: none came yet
  };
  // [worker] True: there are others than before.
  bool renew(View& view) const;

  // [worker] A token cannot be judged with what that view has. waiting: the hook returns gw::pause() and is
  // resumed when there was an answer, or when it took too long; too_early: there was one just now; full: too
  // many wait.
  enum class Wait : uint8_t { waiting, too_early, full };
  Wait wait(gw::request& r, const View& view);

 private:
  static void on_event(void* self, uint32_t event);
  static void on_post(void* self);
  static void on_answer(void* self, const gw_fetch_answer* answer);
  bool want(int64_t now_ns);
  void ask_if_due();
  void ask();
  void take(gw::answer answer);
  void failed(std::string_view why);
  void publish(Keys keys);
  void wake();
  void keep(std::string_view body);
  void restore();

  settings settings_;
  Parse parse_;
  gw::instance self_;
  gw::counter full_;

  std::atomic<uint64_t> generation_{0};  // of the keys
  std::atomic<uint64_t> answers_{0};     // also those without other keys
  std::atomic<bool> asking_{false}, wanted_{false};
  std::atomic<int64_t> begun_ns_{INT64_MIN};  // the last time, by the monotonic clock
  mutable std::mutex mutex_;  // of what follows; taken once a worker and generation, and to wait
  Keys keys_;
  std::vector<gw_ticket> waiting_;

  // main thread
  std::string body_;  // that the keys were read from
  int64_t due_ns_ = 0;
  uint32_t failures_ = 0;
  bool started_ = false;
};

}  // namespace auth
