#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: what a client does with the document that GET has served,
# whose allocations stand there still, and that nobody moves who need not.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  a weight=10%;
        variant  b weight=20%;
        variant  c weight=5%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location /      { return 200 $gray_app; }
    }
}
END

my $app = '/gray/releases/app';
my $users = 400;
my $patch = 'application/json-patch+json';


sub document { return $t->api('GET', $app)->{json} }


# changes what GET serves by the code

sub edit {
    my ($code) = @_;

    my $document = document();

    $code->($document);
    return $t->api('PUT', $app, $document);
}


sub patch { return $t->api('PATCH', $app, [@_], 'Content-Type' => $patch) }


# the variants of many users; of those with "x", the rule's

sub ask {
    my ($x) = @_;

    return [ map { $_->{body} }
             $t->many($users, sub { "/?x=$x&uid=user-$_[0]" }) ];
}


# -- a state that a history has led to, and that is no other's

edit(sub {
    $_[0]{rules} = [ { name => 'part', when => { '$arg_x' => '1' },
                       weights => { a => 30, b => 30 } } ];
})->{status} == 200 or BAIL_OUT('no rule');

edit(sub {
    $_[0]{variants}{a}{weight} = 5;
    $_[0]{rules}[0]{weights}{a} = 20;
})->{status} == 200 or BAIL_OUT('a does not shrink');

my $start = document();

is_deeply($start->{allocation},
          { a => [ [ 0, 50000 ] ], b => [ [ 100000, 300000 ] ],
            c => [ [ 300000, 350000 ] ] }, 'a hole below b');
is_deeply($start->{rules}[0]{allocation},
          { a => [ [ 0, 200000 ] ], b => [ [ 300000, 600000 ] ] },
          'another one in the rule');

my %before = map { $_ => ask($_) } 0, 1;

sub restore {
    delete $start->{revision};
    return $t->api('PUT', $app, $start);
}


# the users as they have to be: all as at the start, but for those named

sub moved {
    my ($name, %to) = @_;

    for my $x (0, 1) {
        is_deeply(ask($x), [ map { $to{$_} || $_ } @{ $before{$x} } ],
                  "$name: " . ($x ? 'users of the rule' : 'users'));
    }
}


# -- a variant with traffic is removed, in every way

my %without = (
    'merge patch' => sub {
        my $rules = document()->{rules};

        delete $rules->[0]{weights}{b};
        return $t->api('PATCH', $app, { variants => { b => undef },
                                        rules => $rules });
    },
    'JSON patch' => sub {
        return patch({ op => 'remove', path => '/variants/b' },
                     { op => 'remove', path => '/rules/0/weights/b' });
    },
    'GET, edit, PUT' => sub {
        return edit(sub {
            delete $_[0]{variants}{b};
            delete $_[0]{rules}[0]{weights}{b};
        });
    },
);

for my $name (sort keys %without) {
    my $response = $without{$name}->();

    is($response->{status}, 200, "$name: a variant less")
        or diag($response->{body});
    is_deeply($response->{json}{allocation},
              { a => [ [ 0, 50000 ] ], c => [ [ 300000, 350000 ] ] },
              "$name: its buckets are free");
    is_deeply($response->{json}{rules}[0]{allocation},
              { a => [ [ 0, 200000 ] ] }, "$name: those of the rule, too");

    moved($name, b => 'off');

    is(restore()->{status}, 200, "$name: the document of before");
    is_deeply(document()->{allocation}, $start->{allocation},
              "$name: with its buckets");
    moved("$name, restored");
}


# another one grows in the same change: it takes what is given back

my $grown = edit(sub {
    delete $_[0]{variants}{b};
    delete $_[0]{rules}[0]{weights}{b};
    $_[0]{variants}{c}{weight} = 20;
});

is_deeply($grown->{json}{allocation},
          { a => [ [ 0, 50000 ] ],
            c => [ [ 300000, 350000 ], [ 100000, 250000 ] ] },
          'another one takes over');
restore();


# -- renamed, with its users: with all that is said of it, or its weights alone

my %renamed = (
    'all'     => [ qw(/variants /rules/0/weights /allocation
                      /rules/0/allocation) ],
    'weights' => [ qw(/variants /rules/0/weights) ],
);

for my $name (sort keys %renamed) {
    my $response = patch(
        map { { op => 'move', from => "$_/b", path => "$_/bb" } }
            @{ $renamed{$name} });

    is($response->{status}, 200, "renamed, $name")
        or diag($response->{body});
    is_deeply($response->{json}{allocation},
              { a => [ [ 0, 50000 ] ], bb => [ [ 100000, 300000 ] ],
                c => [ [ 300000, 350000 ] ] }, "renamed, $name: buckets");
    is_deeply($response->{json}{rules}[0]{allocation},
              { a => [ [ 0, 200000 ] ], bb => [ [ 300000, 600000 ] ] },
              "renamed, $name: buckets of the rule");
    moved("renamed, $name", b => 'bb');
    restore();
}


# -- a rule's weights become a variant, and weights again

my %turned = (
    'JSON patch' => sub {
        return patch({ op => 'remove', path => '/rules/0/weights' },
                     { op => 'add', path => '/rules/0/variant',
                       value => 'c' });
    },
    'GET, edit, PUT' => sub {
        return edit(sub {
            delete $_[0]{rules}[0]{weights};
            $_[0]{rules}[0]{variant} = 'c';
        });
    },
);

for my $name (sort keys %turned) {
    my $response = $turned{$name}->();

    is($response->{status}, 200, "$name: all of the rule to c")
        or diag($response->{body});
    is_deeply($response->{json}{rules},
              [ { name => 'part', when => { '$arg_x' => '1' },
                  variant => 'c' } ], "$name: without an allocation");
    is_deeply($response->{json}{allocation}, $start->{allocation},
              "$name: that of the release stays");
    is_deeply(ask(1), [ ('c') x $users ], "$name: its users");
    is_deeply(ask(0), $before{0}, "$name: the others");
    restore();
}

$t->done;
