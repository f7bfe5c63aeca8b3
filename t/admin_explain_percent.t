#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: what is certain of a decision, and what is not, where a key
# would be drawn and rules look at "percent".

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 2m;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release minted {
        zone     gray;
        cookie   gray_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=50%;
    }

    gray_release hashed {
        zone     gray;
        hash     $arg_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=50%;
    }

    gray_release drawn {
        zone     gray;
        variant  stable app_v1;
        variant  canary app_v2 weight=50%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $open = 'none of the keys is given: a rule that looks at "percent" may '
           . 'hold for what would be drawn, and then it decides';
my $id = 'none of the keys is given: the variant is that of the bucket of a '
         . 'new id, which would be drawn and sent in the cookie';
my $chance = 'there is no key: the variant would be drawn by chance, each '
             . 'time anew';

my ($yes, $no) = (JSON::PP::true(), JSON::PP::false());

my %a = ('$arg_a' => 'x');
my %percent = (percent => 10);


sub canary { return { when => { @_ }, variant => 'canary' } }
sub stable { return { when => { @_ }, variant => 'stable' } }

sub part {
    return { name => 'part', when => { @_ }, weights => { canary => 30 } };
}


# releases, name, rules, attributes; variant, reason, rule, detail; holds

my @cases = (
    [ [ 'minted', 'drawn' ], 'percent first', [ canary(%percent) ], {},
      undef, undef, undef, $open, undef ],
    [ [ 'minted', 'drawn' ], 'percent, then one that holds',
      [ canary(%percent), stable(%a) ], \%a,
      undef, undef, undef, $open, undef, $yes ],
    [ [ 'minted', 'drawn' ], 'percent, then weights',
      [ canary(%percent), part(%a) ], \%a,
      undef, undef, undef, $open, undef, $yes ],
    [ [ 'minted', 'drawn' ], 'percent behind one that does not hold',
      [ stable(%a), canary(%percent), stable('$arg_b' => 'x') ],
      { '$arg_b' => 'x' }, undef, undef, undef, $open, $no, undef, $yes ],
    [ [ 'minted', 'drawn' ], 'percent below "not"',
      [ canary(not => \%percent) ], {}, undef, undef, undef, $open, undef ],
    [ [ 'minted', 'drawn' ], 'percent with a condition that holds',
      [ canary(%percent, %a) ], \%a, undef, undef, undef, $open, undef ],
    [ [ 'minted', 'drawn' ], 'percent of a rule with weights',
      [ part(%percent) ], {}, undef, undef, undef, $open, undef ],

    [ [ 'minted', 'drawn' ], 'one that decides before',
      [ canary(%a), stable(%percent) ], \%a,
      'canary', 'rule', '0', undef, $yes, undef ],
    [ [ 'minted', 'drawn' ], 'an alternative that holds before',
      [ canary(any => [ \%a, \%percent ]) ], \%a,
      'canary', 'rule', '0', undef, $yes ],
    [ [ 'minted' ], 'a condition before percent that does not hold',
      [ canary(%percent, %a), stable('$arg_b' => 'x') ], { '$arg_b' => 'x' },
      'stable', 'rule', '1', undef, $no, $yes ],
    [ [ 'minted' ], 'so, and the weights decide', [ canary(%percent, %a) ],
      {}, undef, 'split', undef, $id, $no ],
    [ [ 'minted' ], 'so, and weights of a rule do',
      [ canary(%percent, %a), part('$arg_b' => 'x') ], { '$arg_b' => 'x' },
      undef, 'rule_split', 'part', $id, $no, $yes ],
    [ [ 'drawn' ], 'so, and chance does', [ canary(%percent, %a) ], {},
      undef, 'random', undef, $chance, $no ],
    [ [ 'drawn' ], 'percent of a variable',
      [ canary(percent => { lt => 100, of => '$arg_c' }) ],
      { '$arg_c' => 'x' }, 'canary', 'rule', '0', undef, $yes ],
    [ [ 'minted' ], 'percent of a variable that is not given',
      [ canary(percent => { lt => 100, of => '$arg_c' }) ],
      {}, undef, 'split', undef, $id, $no ],

    # what cannot be told for another reason is not drawn

    [ [ 'minted' ], 'too many values',
      [ canary('$cookie_g' => { in => [ 'a' ], values => 'any' }) ],
      { '$cookie_g' => [ ('x') x 257 ] }, undef, 'split', undef, $id, undef ],

    # nothing is drawn where there are keys and no cookie, or a key is given

    [ [ 'hashed' ], 'no key', [ canary(%percent) ], {},
      'stable', 'no_key', undef, undef, $no ],
    [ [ 'hashed' ], 'no key, percent and weights', [ part(%percent) ], {},
      'stable', 'no_key', undef, undef, $no ],
    [ [ 'hashed' ], 'a key', [ canary(percent => { lt => 100 }) ],
      { '$arg_uid' => 'u1' }, 'canary', 'rule', '0', undef, $yes ],
    [ [ 'minted' ], 'a cookie', [ canary(percent => { lt => 100 }) ],
      { '$cookie_gray_uid' => 'u1' }, 'canary', 'rule', '0', undef, $yes ],
);

my %upstream = (stable => 'app_v1', canary => 'app_v2');


sub explained {
    my ($release, $given, $name, $variant, $reason, $rule, $detail,
        @holds) = @_;

    my $told = $t->api('POST', "/gray/releases/$release/explain", $given)
                 ->{json};

    $name = "$release: $name";

    is($told->{variant}, $variant, "$name: variant");
    is($told->{upstream}, defined $variant ? $upstream{$variant} : undef,
       "$name: upstream");
    is($told->{reason}, $reason, "$name: reason");
    is($told->{rule}, $rule, "$name: rule");
    is($told->{detail}, $detail, "$name: detail");
    is_deeply([ map { $_->{holds} } @{ $told->{rules} } ], \@holds,
              "$name: rules");
}


for (@cases) {
    my ($releases, $name, $rules, $given, @told) = @$_;

    for my $release (@$releases) {
        my $path = "/gray/releases/$release";

        is($t->api('PATCH', $path, { rules => $rules })->{status}, 200,
           "$release: $name");
        explained($release, $given, $name, @told);

        # the kill switch leaves nothing open

        $t->api('PATCH', $path, { enabled => $no });
        explained($release, $given, "$name, disabled", 'stable', 'disabled',
                  undef, undef, @told[4 .. $#told]);
        $t->api('PATCH', $path, { enabled => $yes });
    }
}

$t->done;
