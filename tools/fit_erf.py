# Fits erfcx for ir/math/elementary.h; needs mpmath. Prints the 20 coefficients of f64, then the centre.
from mpmath import *
mp.dps=60
# g(t)=erfcx(x), t = 1/(1+x/2) -> x = 2/t-2 ; x in [1,6.2] -> t in [1/4.1, 2/3]
def g(t):
    x=2/t-2
    return erfc(x)*exp(x*x)
a=mpf(1)/mpf('4.1'); b=mpf(2)/3
c=(a+b)/2; 
for n in (20,):
    p,e=chebyfit(lambda u: g(u+c),[a-c,b-c],n,error=True)
    print(n,nstr(e,5)); print([nstr(q,20) for q in p[::-1]])
print(nstr(c,20))
