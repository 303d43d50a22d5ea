// Asking somebody over HTTP (gw.fetch): whom, what, and what came back. An endpoint is a field of the
// configuration (gw::endpoint in fields()); request::fetch and instance::fetch ask it. A class that uses them
// says so, for daemons that cannot: static constexpr auto& needs = gw::needs_fetch;
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "types.hpp"

#pragma GCC visibility push(hidden)
namespace gw {

// What is asked. Views: they only have to live until the call returns.
struct question {
  std::string_view method;  // empty: GET
  std::string_view path;    // with its query, in place of the URL's; empty: the URL's own
  const gw_field* fields = nullptr;
  size_t field_count = 0;
  std::string_view body;
  duration timeout{};      // of all of it; 0: 5 s
  uint64_t max_bytes = 0;  // of the answer's body; 0: 1 MiB
  bool harmless = false;   // asking twice is as good as once, whatever the method

  gw_fetch_request request() const {
    return {sizeof(gw_fetch_request),
            harmless ? uint32_t{GW_FETCH_HARMLESS} : 0,
            str(method),
            str(path),
            fields,
            field_count,
            str(body),
            timeout.count(),
            max_bytes};
  }
};

// What came back. A view: valid until the hook or callback that got it returns.
class answer {
 public:
  explicit answer(const gw_fetch_answer* a) : answer_(a) {}
  explicit answer(void* data) : answer_(static_cast<const gw_fetch_answer*>(data)) {}  // of on_resume

  explicit operator bool() const { return answer_->status != 0; }
  uint32_t status() const { return answer_->status; }
  std::string_view reason() const { return view(answer_->reason); }  // why there is none
  std::string_view body() const { return view(answer_->body); }
  // The index-th field of that name, which is in lower case; data() null: there is none.
  std::string_view header(std::string_view lower_name, size_t index = 0) const {
    for (size_t i = 0; i < answer_->field_count; ++i)
      if (view(answer_->fields[i].name) == lower_name && index-- == 0) return view(answer_->fields[i].value);
    return {};
  }

 private:
  const gw_fetch_answer* answer_;
};

// [main thread: events, post and `done` itself] Later, on the main thread, unless destroy begins first:
// done(user, answer).
inline gw_rc fetch(const instance& self, const endpoint& whom, const question& q,
                   void (*done)(void* user, const gw_fetch_answer*), void* user) {
  const gw_fetch_request asked = q.request();
  return detail::host.fetch->background(self.handle(), whom.id, &asked, done, user);
}

inline constexpr const char* needs_fetch[] = {GW_HTTP_V0,   GW_CONSUMER_V0, GW_CONNECTION_V0, GW_CLOCK_V0,
                                              GW_ASYNC_V0,  GW_KV_V0,       GW_CONFIG_V0,     GW_LOG_V0,
                                              GW_METRIC_V0, GW_EVENT_V0,    GW_FETCH_V0,      nullptr};

}  // namespace gw
#pragma GCC visibility pop
