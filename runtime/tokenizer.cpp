#include "runtime/tokenizer.h"

#include <algorithm>
#include <queue>

#include "runtime/error.h"
#include "runtime/unicode_classes.h"
#include "runtime/utf8.h"

namespace gradc::runtime {
namespace {

constexpr size_t kLongestPiece = size_t(1) << 30;

uint64_t pair_of(int32_t left, int32_t right) {
  return uint64_t(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// The end of the characters of one class from `at` on.
size_t run_end(std::string_view text, size_t at, CharacterClass wanted) {
  while (at < text.size()) {
    const size_t n = character_size(text, at);
    if (class_of(character_at(text, at, n)) != wanted) break;
    at += n;
  }
  return at;
}

// Spaces, without the last where something follows it: that goes with what follows, or stands alone.
size_t spaces_end(std::string_view text, size_t at) {
  size_t end = at, last = at;
  while (end < text.size()) {
    const size_t n = character_size(text, end);
    if (class_of(character_at(text, end, n)) != CharacterClass::Space) break;
    last = end, end += n;
  }
  return end == text.size() || last == at ? end : last;
}

}  // namespace

size_t piece_end(std::string_view text, size_t at) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at, ending.size()) == ending) return at + ending.size();
  const size_t from = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  const CharacterClass kind = class_of(character_at(text, from, character_size(text, from)));
  return kind == CharacterClass::Space ? spaces_end(text, at) : run_end(text, from, kind);
}

// The tokens of one piece, merged as a list whose links skip what is merged away.
class Tokenizer::Word {
 public:
  Word(const Tokenizer& t, std::vector<int32_t> ids) : t_(t), ids_(std::move(ids)) {
    const auto n = static_cast<int32_t>(ids_.size());
    for (int32_t i = 0; i < n; ++i) before_.push_back(i - 1), behind_.push_back(i + 1 < n ? i + 1 : -1);
    for (int32_t i = 0; i + 1 < n; ++i) offer(i);
  }

  void merge_into(std::vector<int32_t>& out) {
    while (!open_.empty()) {
      const Offer o = open_.top();
      open_.pop();
      const int32_t right = at(behind_, o.left);
      if (at(ids_, o.left) < 0 || right < 0) continue;
      // Either may have been merged since.
      const auto step = t_.merges_.find(pair_of(at(ids_, o.left), at(ids_, right)));
      if (step == t_.merges_.end() || step->second.rank != o.rank) continue;
      join(o.left, right, step->second.to);
    }
    for (int32_t i = 0; i >= 0; i = at(behind_, i)) out.push_back(at(ids_, i));
  }

 private:
  struct Offer {
    int32_t rank, left;
    bool operator<(const Offer& o) const {  // the queue's top is its largest
      return rank != o.rank ? rank > o.rank : left > o.left;
    }
  };

  static int32_t& at(std::vector<int32_t>& of, int32_t i) { return of[static_cast<size_t>(i)]; }

  void offer(int32_t left) {
    const int32_t right = at(behind_, left);
    if (right < 0) return;
    const auto step = t_.merges_.find(pair_of(at(ids_, left), at(ids_, right)));
    if (step != t_.merges_.end()) open_.push({step->second.rank, left});
  }

  void join(int32_t left, int32_t right, int32_t to) {
    at(ids_, left) = to;
    at(ids_, right) = -1;
    const int32_t next = at(behind_, right);
    at(behind_, left) = next;
    if (next >= 0) at(before_, next) = left;
    if (at(before_, left) >= 0) offer(at(before_, left));
    offer(left);
  }

  const Tokenizer& t_;
  std::vector<int32_t> ids_, before_, behind_;  // ids: -1 where merged into the one before
  std::priority_queue<Offer> open_;
};

class Tokenizer::Encoder {
 public:
  Encoder(const Tokenizer& t, std::string_view text, const std::string& path)
      : t_(t), text_(text), path_(path) {}

  std::vector<int32_t> run() {
    for (size_t at = 0; at < text_.size();) {
      const size_t n = character_size(text_, at);
      if (n == 0) not_utf8(path_, text_, at);
      at += n;
    }
    sections(0, text_.size(), 0);
    return std::move(out_);
  }

 private:
  // What stands between added tokens, of which those that are not normalized are found first.
  void sections(size_t begin, size_t end, size_t group) {
    if (group == 2) return pieces(begin, end);
    size_t open = begin;
    for (size_t at = begin; at < end;) {
      const AddedToken* found = added_at(at, end, group);
      if (found == nullptr) {
        ++at;
        continue;
      }
      sections(open, at, group + 1);
      out_.push_back(found->id);
      open = at += found->text.size();
    }
    if (open < end) sections(open, end, group + 1);
  }

  const AddedToken* added_at(size_t at, size_t end, size_t group) const {
    for (const AddedToken& t : t_.added_[group][static_cast<uint8_t>(text_[at])])
      if (text_.substr(at, std::min(t.text.size(), end - at)) == t.text) return &t;
    return nullptr;
  }

  void pieces(size_t begin, size_t end) {
    const std::string_view section = text_.substr(0, end);
    while (begin < end) {
      const size_t to = t_.spec_.cut ? piece_end(section, begin) : end;
      piece(begin, to);
      begin = to;
    }
  }

  void piece(size_t begin, size_t end) {
    const std::string text(text_.substr(begin, end - begin));
    const auto known = pieces_.find(text);
    if (known != pieces_.end()) return append(known->second);
    std::vector<int32_t> ids = merged(begin, text);
    append(ids);
    // Texts repeat their words; the rest would only fill memory.
    if (text.size() <= 32 && pieces_.size() < 200'000) pieces_.emplace(text, std::move(ids));
  }

  void append(const std::vector<int32_t>& ids) { out_.insert(out_.end(), ids.begin(), ids.end()); }

  std::vector<int32_t> merged(size_t begin, const std::string& text) const {
    if (t_.spec_.ignore_merges)
      if (const auto whole = t_.by_name_.find(token_name(text)); whole != t_.by_name_.end())
        return {whole->second};
    if (text.size() > kLongestPiece)
      throw Error(Failure::Data, text_place(path_, text_, begin) + ": a piece of " +
                                     std::to_string(text.size()) + " bytes; at most " +
                                     std::to_string(kLongestPiece) + " are merged");
    std::vector<int32_t> ids;
    for (size_t i = 0; i < text.size(); ++i) {
      ids.push_back(t_.spec_.byte_ids[static_cast<uint8_t>(text[i])]);
      if (ids.back() < 0)
        throw Error(Failure::Data, text_place(path_, text_, begin + i) + ": the byte " +
                                       std::to_string(static_cast<uint8_t>(text[i])) +
                                       " has no token in the tokenizer, whose alphabet lacks it");
    }
    std::vector<int32_t> out;
    Word(t_, std::move(ids)).merge_into(out);
    return out;
  }

  const Tokenizer& t_;
  std::string_view text_;
  const std::string& path_;
  std::vector<int32_t> out_;
  std::unordered_map<std::string, std::vector<int32_t>> pieces_;
};

Tokenizer::Tokenizer(const std::string& path, std::string_view json) : spec_(parse_tokenizer(path, json)) {
  for (const std::string& name : spec_.names) bytes_.push_back(token_bytes(name));
  if (spec_.ignore_merges)
    for (size_t i = 0; i < bytes_.size(); ++i) by_name_.emplace(spec_.names[i], static_cast<int32_t>(i));
  int32_t rank = 0;
  for (const Merge& m : spec_.merges) merges_.emplace(pair_of(m.left, m.right), Step{rank++, m.to});
  for (auto& group : added_) group.resize(256);
  std::vector<bool> made(bytes_.size());
  for (const int32_t id : spec_.byte_ids)
    if (id >= 0) made[static_cast<size_t>(id)] = true;
  for (const Merge& m : spec_.merges) made[static_cast<size_t>(m.to)] = true;
  for (const AddedToken& t : spec_.added) {
    // Where merges make it as well, it stands for their bytes.
    if (!made[static_cast<size_t>(t.id)]) bytes_[static_cast<size_t>(t.id)] = t.text;
    added_[t.normalized ? 1 : 0][static_cast<uint8_t>(t.text[0])].push_back(t);
  }
  for (auto& group : added_)
    for (std::vector<AddedToken>& all : group)
      std::stable_sort(all.begin(), all.end(), [](const AddedToken& a, const AddedToken& b) {
        return a.text.size() > b.text.size();
      });
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const std::string& path) const {
  return Encoder(*this, text, path).run();
}

}  // namespace gradc::runtime
