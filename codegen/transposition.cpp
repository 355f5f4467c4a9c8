#include "codegen/transposition.h"

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

namespace gradc::codegen {
namespace {

using LValue = llvm::Value*;

// Exchanges in vectors of `n` elements, that number of them, by shuffles that a processor has as one
// instruction: first within pieces of 16 bytes, then of whole pieces.
class Network {
 public:
  Network(llvm::IRBuilder<>& b, std::vector<LValue> v, int64_t piece)
      : b_(b),
        v_(std::move(v)),
        n_(static_cast<int>(v_.size())),
        piece_(static_cast<int>(std::min<int64_t>(piece, n_))) {}

  std::vector<LValue> run() {
    for (int round = 1; round < piece_; round *= 2) interleave();
    // Now vector g * piece + j holds in piece p the column p * piece + j of rows g * piece and on.
    for (int s = 1; s < n_ / piece_; s *= 2) exchange(s);
    return v_;
  }

 private:
  // In each group of as many vectors as a piece has elements, vector i with the one half a group on.
  void interleave() {
    std::vector<int> low, high;
    for (int p = 0; p < n_; p += piece_)
      for (int i = 0; i < piece_; ++i) {
        low.push_back(p + i / 2 + (i % 2) * n_);
        high.push_back(low.back() + piece_ / 2);
      }
    std::vector<LValue> next(v_.size());
    for (int g = 0; g < n_; g += piece_)
      for (int i = 0; i < piece_ / 2; ++i) {
        LValue a = v_[g + i], c = v_[g + i + piece_ / 2];
        next[g + 2 * i] = b_.CreateShuffleVector(a, c, low);
        next[g + 2 * i + 1] = b_.CreateShuffleVector(a, c, high);
      }
    v_ = std::move(next);
  }

  // Pieces of vectors `s` groups apart change places where they are on the wrong side.
  void exchange(int s) {
    std::vector<int> first, second;
    for (int i = 0; i < n_; ++i) {
      const int p = i / piece_;
      const bool far = (p / s) % 2 != 0;
      first.push_back(far ? i - s * piece_ + n_ : i);
      second.push_back(far ? i + n_ : i + s * piece_);
    }
    for (int g = 0; g < n_ / piece_; ++g) {
      if ((g / s) % 2 != 0) continue;
      for (int j = 0; j < piece_; ++j) {
        LValue &a = v_[g * piece_ + j], &c = v_[(g + s) * piece_ + j];
        LValue upper = b_.CreateShuffleVector(a, c, first);
        c = b_.CreateShuffleVector(a, c, second);
        a = upper;
      }
    }
  }

  llvm::IRBuilder<>& b_;
  std::vector<LValue> v_;
  int n_, piece_;
};

// The first n elements of a vector, in memory. Under a mask, where n is no length that a processor knows:
// LLVM takes a vector of ten apart.
class Piece {
 public:
  Piece(llvm::IRBuilder<>& b, llvm::Type* element, int lanes, int n)
      : b_(b),
        whole_(llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes))),
        n_(static_cast<size_t>(n)),
        align_(element->getScalarSizeInBits() / 8) {
    constexpr unsigned kMasked = 32;  // bits of an element, from which on masks are cheap
    part_ = llvm::FixedVectorType::get(element, static_cast<unsigned>(n));
    for (int i = 0; i < lanes; ++i) widen_.push_back(i < n ? i : -1);
    if (std::has_single_bit(static_cast<unsigned>(n)) || element->getScalarSizeInBits() < kMasked) return;
    llvm::SmallVector<llvm::Constant*, 16> bits;
    for (int i = 0; i < lanes; ++i) bits.push_back(b.getInt1(i < n));
    mask_ = llvm::ConstantVector::get(bits);
  }

  LValue load(LValue at) const {
    if (mask_) return b_.CreateMaskedLoad(whole_, at, align_, mask_);
    LValue v = b_.CreateAlignedLoad(part_, at, align_);
    return part_ == whole_ ? v : b_.CreateShuffleVector(v, widen_);
  }
  void store(LValue v, LValue at) const {
    if (mask_) {
      b_.CreateMaskedStore(v, at, align_, mask_);
      return;
    }
    if (part_ != whole_) v = b_.CreateShuffleVector(v, llvm::ArrayRef<int>(widen_).take_front(n_));
    b_.CreateAlignedStore(v, at, align_);
  }

 private:
  llvm::IRBuilder<>& b_;
  llvm::FixedVectorType *whole_, *part_ = nullptr;
  size_t n_;
  llvm::Align align_;
  std::vector<int> widen_;
  LValue mask_ = nullptr;
};

}  // namespace

llvm::Function* transposition(llvm::Module& m, llvm::Type* element, int lanes, int in, int out) {
  const unsigned bits = element->getScalarSizeInBits();
  const std::string name =
      fmt::format("gradc.transpose.{}{}.{}x{}", element->isFloatingPointTy() ? 'f' : 'i', bits, in, out);
  if (llvm::Function* f = m.getFunction(name)) return f;
  llvm::LLVMContext& c = m.getContext();
  llvm::Type *p = llvm::PointerType::get(c, 0), *i64 = llvm::Type::getInt64Ty(c);
  auto* f = llvm::Function::Create(llvm::FunctionType::get(llvm::Type::getVoidTy(c), {p, i64, p, i64}, false),
                                   llvm::GlobalValue::InternalLinkage, name, m);
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addFnAttr(llvm::Attribute::NoInline);
  constexpr int kWide = 16;
  if (lanes == kWide) f->addFnAttr("prefer-vector-width", "512");
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(c, "", f));
  const auto place = [&](unsigned of, int i) {
    LValue distance = b.CreateMul(f->getArg(of + 1), b.getInt64(static_cast<uint64_t>(i)));
    return b.CreateGEP(element, f->getArg(of), distance);
  };
  const Piece source(b, element, lanes, out), target(b, element, lanes, in);
  std::vector<LValue> v(static_cast<size_t>(lanes), llvm::PoisonValue::get(llvm::FixedVectorType::get(
                                                        element, static_cast<unsigned>(lanes))));
  for (int i = 0; i < in; ++i) v[static_cast<size_t>(i)] = source.load(place(0, i));
  constexpr int64_t kPieceBits = 128;  // that an instruction can shuffle at will
  v = Network(b, std::move(v), kPieceBits / bits).run();
  for (int i = 0; i < out; ++i) target.store(v[static_cast<size_t>(i)], place(2, i));
  b.CreateRetVoid();
  return f;
}

}  // namespace gradc::codegen
