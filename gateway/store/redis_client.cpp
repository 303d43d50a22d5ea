#include "store/redis_client.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "net/digest.h"
#include "net/tcp_transport.h"

namespace penstock::store {
namespace {

constexpr int64_t ms_ns = 1'000'000;
constexpr int64_t no_deadline = std::numeric_limits<int64_t>::max();
constexpr uint64_t us_a_second = 1'000'000;

// Keys of clients can be long; Redis need not keep them so.
constexpr size_t longest_plain_key = 200;

void append_key(std::string& out, std::string_view key) {
  if (key.size() <= longest_plain_key) {
    out += key;
    return;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  out += "sha256:";
  for (const uint8_t byte : net::sha256(key)) (out += digits[byte >> 4]) += digits[byte & 15];
}

std::string_view number_text(uint64_t number, char (&buffer)[20]) {
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  return {buffer, static_cast<size_t>(end - buffer)};
}

int64_t to_ns(int64_t us) {
  return us >= std::numeric_limits<int64_t>::max() / 1000 ? gcra::never : us * 1000;
}

}  // namespace

RedisClient::RedisClient(net::Loop& loop, RedisStore& store)
    : loop_(loop),
      store_(store),
      peer_(store.settings().host),
      ring_(64),
      deadline_(
          loop, [](void* self) { static_cast<RedisClient*>(self)->on_deadline(); }, this),
      pause_(
          loop, [](void* self) { static_cast<RedisClient*>(self)->on_pause_over(); }, this),
      heartbeat_(loop, [](void* self) { static_cast<RedisClient*>(self)->on_heartbeat(); }, this) {}

RedisClient::~RedisClient() = default;

// ---- the connection ----

void RedisClient::start() { connect(); }

void RedisClient::stop() {
  const bool was_up = state_ == State::up;
  state_ = State::stopped;
  if (was_up) store_.stopped();
  pause_.stop();
  heartbeat_.stop();
  deadline_.stop();
  cancel();
  query_.reset();
  connect_.reset();
  transport_.reset();
  answer_all(Answer::Outcome::away);
}

void RedisClient::connect() {
  state_ = State::connecting;
  replies_.reset();
  ask_setup();
  const RedisSettings& settings = store_.settings();
  if (const auto literal = net::Address::from_ip(settings.host, settings.port)) return connect_to(*literal);
  if (resolver_ == nullptr) resolver_ = std::make_unique<net::Resolver>(loop_, std::vector<std::string>{});
  query_ = resolver_->resolve(
      settings.host, [this](Result<net::Resolved> result) { on_resolved_name(*this, std::move(result)); });
}

void RedisClient::on_resolved_name(RedisClient& self, Result<net::Resolved> result) {
  if (!result || result->addresses.empty()) return self.go_away("its name has no address");
  net::Address address = result->addresses.front();
  address.set_port(self.store_.settings().port);
  self.connect_to(address);
}

void RedisClient::connect_to(net::Address address) {
  const RedisSettings& settings = store_.settings();
  connect_ = settings.tls != nullptr
                 ? net::connect_tls(loop_, address, connect_ms, settings.tls, peer_, &on_connected, this)
                 : net::connect_tcp(loop_, address, connect_ms, &on_connected, this);
}

void RedisClient::on_connected(void* raw, Result<std::unique_ptr<net::Transport>> result) {
  auto& self = *static_cast<RedisClient*>(raw);
  self.connect_.reset();
  if (!result) return self.go_away(result.error().text);
  self.transport_ = std::move(*result);
  self.transport_->set_handler(&self);
  self.transport_->start_reading();
  // From here on it has to be as quick as ever: one that is slow must not come up only to go away.
  const auto now = static_cast<int64_t>(self.loop_.now_ns());
  for (size_t i = 0; i < self.count_; ++i) {
    Question& question = self.at(i);
    if (question.kind == Kind::setup) question.due_ns = now + int64_t{connect_ms} * ms_ns;
    if (question.kind == Kind::heartbeat) question.due_ns = now + self.timeout_ns();
    self.arm(question.due_ns);
  }
  self.run_task();
}

// Who we are, which database, the script, and that we are here: the last one is the proof that all works.
void RedisClient::ask_setup() {
  const RedisSettings& settings = store_.settings();
  const auto ask_one = [this] -> std::string& {
    Question& question = push(Kind::setup);
    question.open = true;
    question.due_ns = no_deadline;
    return question.command;
  };
  const auto finish = [this] { send(at(count_ - 1)); };
  if (!settings.password.empty()) {
    const bool named = !settings.username.empty();
    RedisCommand command(ask_one(), named ? 3 : 2);
    command << std::string_view("AUTH");
    if (named) command << std::string_view(settings.username);
    command << std::string_view(settings.password);
    finish();
  }
  if (settings.database != 0) {
    RedisCommand(ask_one(), 2) << std::string_view("SELECT") << uint64_t{settings.database};
    finish();
  }
  RedisCommand(ask_one(), 3) << std::string_view("SCRIPT") << std::string_view("LOAD") << redis_script;
  finish();
  ask_heartbeat();
  at(count_ - 1).due_ns = no_deadline;
}

void RedisClient::ask_heartbeat() {
  Question& question = push(Kind::heartbeat);
  question.open = true;
  question.due_ns = static_cast<int64_t>(loop_.now_ns()) + timeout_ns();
  RedisCommand(question.command, 7) << std::string_view("EVALSHA") << store_.script_sha() << uint64_t{1}
                                    << std::string_view("penstock:processes") << std::string_view("here")
                                    << store_.process() << counted_s;
  send(question);
}

void RedisClient::go_away(std::string_view why) {
  if (state_ == State::stopped || state_ == State::away) return;
  const bool was_up = state_ == State::up;
  state_ = State::away;
  if (was_up)
    store_.went_away(why);
  else
    store_.failed_to_come_up(why);
  query_.reset();
  connect_.reset();
  transport_.reset();
  heartbeat_.stop();
  deadline_.stop();
  cancel();
  failures_ = 0;
  // What was up may have been restarted: once at once, then with pauses.
  if (!was_up) pause_ms_ = std::clamp(pause_ms_ * 2, first_pause_ms, longest_pause_ms);
  pause_.start(was_up && pause_ms_ == 0 ? 0 : std::max(pause_ms_, first_pause_ms));
  answer_all(Answer::Outcome::away);
}

void RedisClient::on_pause_over() {
  if (state_ == State::away) connect();
}

void RedisClient::on_heartbeat() {
  if (state_ != State::up) return;
  if (store_.heartbeat_due(loop_.now_ms(), heartbeat_ms * 9 / 10)) {
    ask_heartbeat();
    arm(at(count_ - 1).due_ns);
  }
  heartbeat_.start(heartbeat_ms);
}

// ---- questions ----

RedisClient::Question& RedisClient::push(Kind kind) {
  if (count_ == ring_.size()) {  // in order from the beginning, and twice as long
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(first_), ring_.end());
    first_ = 0;
    ring_.resize(ring_.size() * 2);
  }
  Question& question = at(count_++);
  question.kind = kind;
  question.open = question.asked_again = false;
  question.command.clear();
  return question;
}

void RedisClient::pop() {
  first_ = (first_ + 1) & (ring_.size() - 1);
  --count_;
}

bool RedisClient::may_ask() const {
  return state_ == State::up || (state_ == State::connecting && !was_up_ && pause_ms_ == 0);
}

void RedisClient::send(const Question& question) {
  out_ += question.command;
  if (transport_ != nullptr) loop_.schedule(*this);
}

void RedisClient::run_task() {
  if (transport_ == nullptr || out_.empty()) return;
  transport_->append(out_);
  out_.clear();
  transport_->flush();
  if (transport_->unsent() > max_unsent) go_away("it does not read");
}

RedisClient::Question& RedisClient::ask(Kind kind, Token token) {
  Question& question = push(kind);
  question.open = true;
  question.token = token;
  question.due_ns = static_cast<int64_t>(loop_.now_ns()) + timeout_ns();
  return question;
}

// "penstock:TYPE:INSTANCE:KEY:" and the window: a rate of its own has a key of its own, as in our own table.
const std::string& RedisClient::full_key(std::string_view space, std::string_view key,
                                         const gcra::Window& window) {
  char digits[20];
  key_.assign("penstock:").append(space) += ':';
  append_key(key_, key);
  if (window.quota()) {
    key_.append(":quota").append(number_text(window.burst & UINT32_MAX, digits));
  } else {
    key_ += ':';
    key_.append(number_text(window.count, digits)) += '/';
    key_.append(number_text(window.period, digits));
  }
  return key_;
}

Asked RedisClient::gcra(Token token, std::string_view space, std::string_view key,
                        std::span<const gcra::Window> windows, uint64_t cost) {
  if (!may_ask()) return Asked::away;
  if (count_ >= store_.settings().max_pending) return Asked::full;
  Question& question = ask(Kind::gcra, token);
  question.cost = cost;
  question.windows = windows.size();
  for (size_t i = 0; i < windows.size(); ++i) {
    question.window[i] = windows[i];
    question.window[i].period = std::max<uint64_t>(1, windows[i].period / 1000);
  }
  RedisCommand command(question.command, 4 + 7 * windows.size());
  command << std::string_view("EVALSHA") << store_.script_sha() << uint64_t{windows.size()};
  for (size_t i = 0; i < windows.size(); ++i) command << full_key(space, key, question.window[i]);
  command << std::string_view("gcra");
  for (size_t i = 0; i < windows.size(); ++i) {
    const gcra::Window& window = question.window[i];
    if (window.quota()) {
      command << std::string_view("q") << cost << window.period << window.count
              << uint64_t{gcra::half_a_day_s} * us_a_second << uint64_t{0};
    } else {
      const gcra::Quotient step = gcra::step_of(window, cost), room = gcra::room_of(window);
      command << std::string_view("r") << step.whole << step.rest << room.whole << room.rest << window.count;
    }
  }
  send(question);
  arm(question.due_ns);
  return Asked::yes;
}

Asked RedisClient::add(Token token, std::string_view space, std::string_view key, int64_t delta, int64_t most,
                       int64_t ttl_ms) {
  if (!may_ask()) return Asked::away;
  if (count_ >= store_.settings().max_pending) return Asked::full;
  Question& question = ask(Kind::add, token);
  key_.assign("penstock:").append(space) += ':';
  append_key(key_, key);
  RedisCommand(question.command, 8) << std::string_view("EVALSHA") << store_.script_sha() << uint64_t{1}
                                    << key_ << std::string_view("add") << delta << most << ttl_ms;
  send(question);
  arm(question.due_ns);
  return Asked::yes;
}

// ---- answers ----

void RedisClient::on_read(std::span<const char> bytes) {
  if (!replies_.feed({bytes.data(), bytes.size()})) return go_away("it sent what is no answer");
  while (transport_ != nullptr) {
    switch (replies_.next()) {
      case RedisReplies::Next::partial: return;
      case RedisReplies::Next::broken: return go_away("it sent what is no answer");
      case RedisReplies::Next::whole: break;
    }
    if (count_ == 0) return go_away("it sent an answer to nothing");
    answered(replies_.reply());
  }
}

// Whoever is told may ask again, which moves the ring: the question is copied out first where that matters.
void RedisClient::answered(const RedisReply& reply) {
  Question& question = at(0);
  if (reply.kind == RedisReply::Kind::error && reply.text().starts_with("NOSCRIPT") && ask_again(question)) {
    pop();
    return;
  }
  const Kind kind = question.kind;
  const bool good = take(question, reply);
  if (!good && (kind == Kind::setup || kind == Kind::heartbeat))
    return go_away("it refused what we begin with");
  if (state_ == State::stopped || state_ == State::away) return;  // by whoever was told
  if (!good && ++failures_ >= store_.settings().max_failures) go_away("its answers make no sense");
}

// False: it makes no sense. The question is gone afterwards.
bool RedisClient::take(Question& question, const RedisReply& reply) {
  const bool numbers = reply.kind == RedisReply::Kind::numbers;
  switch (question.kind) {
    case Kind::setup: {
      pop();
      return reply.kind == RedisReply::Kind::text;
    }
    case Kind::heartbeat: {
      pop();
      if (!numbers || reply.count != 2 || reply.numbers[1] < 1) return false;
      store_.set_processes(static_cast<uint32_t>(std::min<int64_t>(reply.numbers[1], UINT32_MAX)));
      if (state_ != State::connecting) return true;
      state_ = State::up;
      was_up_ = true;
      store_.went_up();
      heartbeat_.start(heartbeat_ms);
      return true;
    }
    case Kind::add: {
      const bool good = numbers && reply.count == 2 && (reply.numbers[0] == 0 || reply.numbers[0] == 1);
      Answer answer{Answer::Outcome::wrong, 0, {}};
      if (good) {
        answer.outcome = reply.numbers[0] == 1 ? Answer::Outcome::admitted : Answer::Outcome::refused;
        answer.value = reply.numbers[1];
        if (question.open) failures_ = 0, pause_ms_ = 0;  // a late one is no proof of health
      }
      tell(question, answer);
      return good;
    }
    case Kind::gcra: return take_gcra(question, reply);
  }
  return false;
}

bool RedisClient::take_gcra(Question& question, const RedisReply& reply) {
  const size_t windows = question.windows;
  bool good = reply.kind == RedisReply::Kind::numbers && reply.count == 2 + 2 * windows &&
              (reply.numbers[0] == 0 || reply.numbers[0] == 1) && reply.numbers[1] > 0 &&
              reply.numbers[1] < int64_t{1} << 53;
  std::array<gcra::State, RedisStore::max_windows> states;
  const bool admitted = good && reply.numbers[0] == 1;
  const int64_t now = reply.numbers[1];
  for (size_t i = 0; good && i < windows; ++i) {
    const gcra::Moment kept{reply.numbers[2 + 2 * i], static_cast<uint64_t>(reply.numbers[3 + 2 * i])};
    const gcra::Window& window = question.window[i];
    good = kept.ticks >= now && kept.ticks < int64_t{1} << 53 && kept.fraction < uint64_t{1} << 54 &&
           (window.quota() || kept.fraction < window.count);
    if (!good) break;
    const gcra::Judgement judged = gcra::judge(window, question.cost, now, &kept, us_a_second);
    const gcra::State state = gcra::state_of(judged, window, question.cost, now, admitted);
    states[i] = {state.remaining, to_ns(state.reset), to_ns(state.retry_after)};
  }
  Answer answer{Answer::Outcome::wrong, 0, {}};
  if (good) {
    answer.outcome = admitted ? Answer::Outcome::admitted : Answer::Outcome::refused;
    answer.states = {states.data(), windows};
    if (question.open) failures_ = 0, pause_ms_ = 0;  // a late one is no proof of health
  }
  tell(question, answer);
  return good;
}

// The first question has its answer: it leaves the ring, and then whoever waits is told.
void RedisClient::tell(Question& question, const Answer& answer) {
  const bool open = question.open;
  const Token token = question.token;
  pop();
  if (open) store_.owner().answered(store_.owner().self, token, answer);
}

// Redis has lost the script: it is loaded once more and the question follows it, unless it is too late.
bool RedisClient::ask_again(Question& question) {
  if (question.asked_again || state_ != State::up) return false;
  if (!question.open && question.kind != Kind::heartbeat) return false;
  Question copy = question;
  Question& load = push(Kind::setup);
  load.due_ns = no_deadline;
  RedisCommand(load.command, 3) << std::string_view("SCRIPT") << std::string_view("LOAD") << redis_script;
  send(load);
  Question& again = push(copy.kind);
  again = std::move(copy);
  again.asked_again = true;
  send(again);
  return true;
}

void RedisClient::answer_all(Answer::Outcome outcome) {
  out_.clear();
  std::vector<Token> waiting;
  while (count_ > 0) {
    const Question& question = at(0);
    if (question.open && (question.kind == Kind::gcra || question.kind == Kind::add))
      waiting.push_back(question.token);
    pop();
  }
  for (const Token token : waiting)
    store_.owner().answered(store_.owner().self, token, Answer{outcome, 0, {}});
}

// ---- time ----

void RedisClient::arm(int64_t due_ns) {
  if (deadline_.running() && armed_ns_ <= due_ns) return;
  const auto now = static_cast<int64_t>(loop_.now_ns());
  armed_ns_ = due_ns;
  deadline_.start(due_ns > now ? static_cast<uint64_t>((due_ns - now + ms_ns - 1) / ms_ns) : 0);
}

// One timer for all: it runs while anything waits, and looks at what is due.
void RedisClient::on_deadline() {
  const auto now = static_cast<int64_t>(loop_.now_ns());
  int64_t soonest = no_deadline;
  std::vector<Token> late;
  bool lost = false;
  for (size_t i = 0; i < count_; ++i) {
    Question& question = at(i);
    if (!question.open) continue;
    if (question.due_ns > now) {
      soonest = std::min(soonest, question.due_ns);
      continue;
    }
    question.open = false;  // its answer is dropped when it comes
    const bool of_ours = question.kind == Kind::setup || question.kind == Kind::heartbeat;
    if (!of_ours) late.push_back(question.token), store_.count_timeout();
    if (state_ == State::up)
      ++failures_;
    else
      lost = lost || of_ours;
  }
  if (soonest != no_deadline) arm(soonest);
  if (lost || failures_ >= store_.settings().max_failures) go_away("it does not answer in time");
  for (const Token token : late)
    store_.owner().answered(store_.owner().self, token, Answer{Answer::Outcome::timeout, 0, {}});
}

}  // namespace penstock::store
