import jax, jax.numpy as jnp, time
from functools import partial
from jax.extend import core as jex
import jax.extend.core as jec
print(jax.__version__, [x for x in dir(jec) if not x.startswith('_')])
try:
    print(jax.core.eval_jaxpr)
except Exception as e: print(e)
def sig(x): return 0.5*jnp.tanh(0.5*x)+0.5
def gru(params,h,x,s):
    zr,zu=jnp.split(jnp.concatenate([params['Wrh'],params['Wuh']])@h+ jnp.concatenate([params['Wrx'],params['Wux']])@x,2)
    r=sig(zr);u=sig(zu+1.)
    c=s(params['Wch']@(r*h)+params['Wcx']@x)
    return u*h+(1-u)*c, u*h+(1-u)*c
n=5;ni=3
p={k:jnp.ones((n,n)) if k[-1]=='h' else jnp.ones((n,ni)) for k in ['Wrh','Wuh','Wch','Wrx','Wux','Wcx']}
jx,tree=jax.make_jaxpr(partial(gru,s=jnp.tanh),return_shape=True)(p,jnp.ones(n),jnp.ones(ni))
print(jx); print(type(jx), type(jx.jaxpr), type(jx.eqns[0]))
