#include "net/resolver.h"

#include <netdb.h>
#include <sys/time.h>
#include <uv.h>
// The callback interface that 1.18 has is marked as old in later releases and still there.
#define CARES_NO_DEPRECATED
#include <ares.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "base/reason.h"
#include "net/loop.h"
#include "net/loop_handle.h"
#include "net/timer.h"

namespace penstock::net {
namespace {

constexpr std::chrono::seconds hosts_ttl{30};
constexpr std::chrono::seconds literal_ttl{24 * 3600};

Error resolve_error(int status) {
  Error error{.kind = ErrorKind::system,
              .source = ErrorSource::upstream,
              .retry = Retry::yes,
              .reason = reason::upstream_unresolved,
              .text = "the name servers gave no usable answer"};
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      error.kind = ErrorKind::unresolved;
      error.retry = Retry::no;
      error.text = status == ARES_EBADNAME ? "not a host name" : "the name has no address";
      break;
    case ARES_ETIMEOUT:
      error.kind = ErrorKind::timeout;
      error.text = "no name server answered in time";
      break;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
      error.kind = ErrorKind::cancelled;
      error.text = "the resolver was closed";
      break;
    case ARES_ENOMEM: error.text = "no memory for a name lookup"; break;
    case ARES_EBADSTR: error.text = "the list of name servers cannot be understood"; break;
    default: break;
  }
  return error;
}

// A first, then AAAA, each once and in order, so that two answers can be compared.
void normalise(std::vector<Address>& addresses) {
  auto key = [](const Address& a) {
    return a.any.sa_family == AF_INET
               ? std::string("4") + std::string(reinterpret_cast<const char*>(&a.v4.sin_addr), 4)
               : std::string("6") + std::string(reinterpret_cast<const char*>(&a.v6.sin6_addr), 16);
  };
  std::sort(addresses.begin(), addresses.end(),
            [&](const Address& a, const Address& b) { return key(a) < key(b); });
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
}

Resolved from_answer(const ares_addrinfo& answer) {
  Resolved out;
  int ttl = INT32_MAX;
  for (auto* node = answer.nodes; node; node = node->ai_next) {
    Address address = Address::from_sockaddr(node->ai_addr);
    if (!address.valid()) continue;
    address.set_port(0);
    out.addresses.push_back(address);
    ttl = std::min(ttl, node->ai_ttl);
  }
  for (auto* alias = answer.cnames; alias; alias = alias->next) ttl = std::min(ttl, alias->ttl);
  out.ttl = std::chrono::seconds(std::max(ttl, 0));
  normalise(out.addresses);
  return out;
}

int library_status() {
  static std::once_flag once;
  static int status = ARES_SUCCESS;
  std::call_once(once, [] { status = ares_library_init(ARES_LIB_INIT_ALL); });
  return status;
}

// What c-ares calls back with: lives until it did, whoever still waits for it.
struct Asked {
  class PendingQuery* query;  // null: destroyed
};

class PendingQuery final : public Resolver::Query, private Task {
 public:
  PendingQuery(Loop& loop, std::function<void(Result<Resolved>)> fn) : loop_(loop), fn_(std::move(fn)) {}
  ~PendingQuery() override {
    if (asked_) asked_->query = nullptr;
  }

  // Told at the end of the turn: never inside resolve() and never inside c-ares.
  void answer(Result<Resolved> result) {
    asked_ = nullptr;
    result_ = std::move(result);
    loop_.schedule(*this);
  }
  Asked* ask() { return asked_ = new Asked{this}; }

  static void on_answer(void* raw, int status, int /*timeouts*/, ares_addrinfo* answer) {
    auto* asked = static_cast<Asked*>(raw);
    if (asked->query) {
      if (status == ARES_SUCCESS && answer && answer->nodes)
        asked->query->answer(from_answer(*answer));
      else
        asked->query->answer(std::unexpected(resolve_error(status == ARES_SUCCESS ? ARES_ENODATA : status)));
    }
    if (answer) ares_freeaddrinfo(answer);
    delete asked;
  }

 private:
  void run_task() override {
    auto fn = std::move(fn_);
    auto result = *std::move(result_);
    fn(std::move(result));  // may destroy this object
  }

  Loop& loop_;
  std::function<void(Result<Resolved>)> fn_;
  std::optional<Result<Resolved>> result_;
  Asked* asked_ = nullptr;
};

}  // namespace

// One c-ares channel. No user code runs inside c-ares, so it is never destroyed there.
struct Resolver::Channel {
  // One socket of c-ares; c-ares opens and closes the descriptor. Freed in its close callback.
  struct Poll final : LoopHandle {
    Poll(Channel& of, int fd_to_poll) : channel(&of), fd(fd_to_poll) {
      polled = uv_poll_init_socket(of.loop.raw(), &handle, fd) == 0;
      handle.data = static_cast<LoopHandle*>(this);
    }
    void watch(int events) {
      if (polled && events != 0) uv_poll_start(&handle, events, on_ready);
    }
    void close() {
      channel = nullptr;
      if (!polled) {
        delete this;
        return;
      }
      uv_close(reinterpret_cast<uv_handle_t*>(&handle),
               [](uv_handle_t* raw) { delete static_cast<Poll*>(static_cast<LoopHandle*>(raw->data)); });
    }
    void loop_ends() override { close(); }
    static void on_ready(uv_poll_t* raw, int status, int events) {
      auto& self = *static_cast<Poll*>(static_cast<LoopHandle*>(raw->data));
      bool failed = status < 0;  // c-ares learns the errno by reading
      self.channel->process(failed || (events & UV_READABLE) ? self.fd : ARES_SOCKET_BAD,
                            failed || (events & UV_WRITABLE) ? self.fd : ARES_SOCKET_BAD);
    }
    Channel* channel;
    int fd;
    bool polled;
    uv_poll_t handle;
  };

  Channel(Loop& on, const std::vector<std::string>& servers, uint64_t try_timeout_ms);
  ~Channel();
  static void on_socket_state(void* raw, ares_socket_t fd, int readable, int writable);
  void process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(ares, readable, writable);
    arm();
  }
  void arm();
  bool lookup_here(const std::string& name, Resolved& out);

  Loop& loop;
  ares_channel ares = nullptr;
  int status = ARES_SUCCESS;
  std::vector<Poll*> polls;
  Timer timer;  // c-ares' own retries and timeouts
};

Resolver::Channel::Channel(Loop& on, const std::vector<std::string>& servers, uint64_t try_timeout_ms)
    : loop(on),
      timer(
          on, [](void* self) { static_cast<Channel*>(self)->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); },
          this) {
  status = library_status();
  if (status != ARES_SUCCESS) return;
  ares_options options{};
  options.timeout = static_cast<int>(try_timeout_ms);
  options.tries = 2;
  options.sock_state_cb = on_socket_state;
  options.sock_state_cb_data = this;
  char dns_only[] = "b";  // the hosts file is read by lookup_here(), which knows that it has no TTL
  options.lookups = dns_only;
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
#ifdef ARES_OPT_QUERY_CACHE
  mask |= ARES_OPT_QUERY_CACHE;  // with qcache_max_ttl 0: off, our callers ask again by TTL
#endif
  status = ares_init_options(&ares, &options, mask);
  if (status != ARES_SUCCESS) {
    ares = nullptr;
    return;
  }
  if (servers.empty()) return;
  std::string list;
  for (const auto& server : servers) list += (list.empty() ? "" : ",") + server;
  // Checked here, too: c-ares before 1.20 skips what it cannot read.
  bool all_good = std::all_of(servers.begin(), servers.end(),
                              [](const std::string& server) { return Address::parse(server).has_value(); });
  status = all_good ? ares_set_servers_ports_csv(ares, list.c_str()) : ARES_EBADSTR;
}

Resolver::Channel::~Channel() {
  if (ares) ares_destroy(ares);  // every pending query is answered, every socket closed
}

void Resolver::Channel::on_socket_state(void* raw, ares_socket_t fd, int readable, int writable) {
  auto& self = *static_cast<Channel*>(raw);
  auto found =
      std::find_if(self.polls.begin(), self.polls.end(), [&](const Poll* poll) { return poll->fd == fd; });
  if (!readable && !writable) {  // c-ares closes it when we return
    if (found == self.polls.end()) return;
    Poll* poll = *found;
    self.polls.erase(found);
    poll->close();
    return;
  }
  if (found == self.polls.end()) found = self.polls.insert(found, new Poll(self, fd));
  (*found)->watch((readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0));
}

void Resolver::Channel::arm() {
  timeval wait;
  if (!ares_timeout(ares, nullptr, &wait)) {
    timer.stop();
    return;
  }
  timer.start(static_cast<uint64_t>(wait.tv_sec) * 1000 + static_cast<uint64_t>(wait.tv_usec) / 1000 + 1);
}

// Literals, the hosts file, and localhost, which must not leave the machine (RFC 6761 6.3).
bool Resolver::Channel::lookup_here(const std::string& name, Resolved& out) {
  if (auto literal = Address::from_ip(name, 0)) {
    out.addresses.push_back(*literal);
    out.ttl = literal_ttl;
    return true;
  }
  out.ttl = hosts_ttl;
  for (int family : {AF_INET, AF_INET6}) {
    hostent* host = nullptr;
    if (ares_gethostbyname_file(ares, name.c_str(), family, &host) != ARES_SUCCESS) continue;
    for (char** entry = host->h_addr_list; entry && *entry; ++entry) {
      Address address;
      address.any.sa_family = static_cast<sa_family_t>(host->h_addrtype);
      if (host->h_addrtype == AF_INET)
        std::memcpy(&address.v4.sin_addr, *entry, 4);
      else
        std::memcpy(&address.v6.sin6_addr, *entry, 16);
      out.addresses.push_back(address);
    }
    ares_free_hostent(host);
  }
  std::string_view bare = name;
  if (bare.ends_with('.')) bare.remove_suffix(1);
  if (out.addresses.empty() && (bare == "localhost" || bare.ends_with(".localhost")))
    out.addresses = {*Address::from_ip("127.0.0.1", 0), *Address::from_ip("::1", 0)};
  normalise(out.addresses);
  return !out.addresses.empty();
}

Resolver::Resolver(Loop& loop, const std::vector<std::string>& servers, uint64_t try_timeout_ms)
    : channel_(std::make_unique<Channel>(loop, servers, try_timeout_ms)) {}

Resolver::~Resolver() = default;

std::unique_ptr<Resolver::Query> Resolver::resolve(const std::string& name,
                                                   std::function<void(Result<Resolved>)> fn) {
  auto query = std::make_unique<PendingQuery>(channel_->loop, std::move(fn));
  Resolved here;
  if (!channel_->ares || channel_->status != ARES_SUCCESS) {
    query->answer(std::unexpected(resolve_error(channel_->status)));
  } else if (name.empty() || name.find('\0') != name.npos) {
    query->answer(std::unexpected(resolve_error(ARES_EBADNAME)));
  } else if (channel_->lookup_here(name, here)) {
    query->answer(std::move(here));
  } else {
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_flags = ARES_AI_NOSORT;  // sorting would open sockets, and we have an order of our own
    ares_getaddrinfo(channel_->ares, name.c_str(), nullptr, &hints, PendingQuery::on_answer, query->ask());
    channel_->arm();
  }
  return query;
}

}  // namespace penstock::net
